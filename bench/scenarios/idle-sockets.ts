import {
  createTestDirectory,
  ROOMY_NOTIFY_LIMITS,
  startServiceProcess,
  startTestNats,
  Teardowns,
  TokenIssuer,
  waitFor,
  type ServiceProcess,
} from '@infrasignal/testkit';
import { ACCESS_TOKEN_TTL_SECONDS_MAX, EVENTS_STREAM } from '@infrasignal/shared';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { IdleCrowd } from '../load/idle-crowd.ts';
import type { SocketGoal } from '../load/socket-handshake.ts';
import { readCpuSeconds, readResidentKib } from '../process-usage.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { median, spread } from '../statistics.ts';
import type { Table } from '../table.ts';

const SOCKETS_DEFAULT = 10_000;
const ROUNDS_DEFAULT = 3;

/** Come and gone before anything is measured: the code is compiled, and what is made once is there. */
const WARM_UP_SOCKETS = 500;

/** Without anything happening. */
const SECONDS_DEFAULT = 30;

/** Memory is looked at after these parts of it: V8 gives something back by itself, if at all, in the first seconds. */
const LOOKS = [0, 1 / 6, 1 / 2, 1];

/** Longer than any run: pings are not what is measured, and the peers send none. */
const QUIET_SECONDS = 3_600;

/** A collection of 100 MB takes a tenth of a second on a calm machine. */
const COLLECT_TIMEOUT_MS = 30_000;

/** As the image of notify-service starts it (its Dockerfile says why); the peers have the same. */
const HEAP_FLAG = '--max-semi-space-size=2';

/** KB of 1,000 bytes. */
const TARGET_KB = 9;

/** By WebSocket at once, in the present version of the protocol underneath. */
const SOCKET_IO_PATH = '/socket.io/?EIO=4&transport=websocket';

/** One kind of server. Every round has a process of its own. */
interface Kind {
  readonly name: string;
  start(t: Teardowns, env: Record<string, string>): Promise<ServiceProcess>;
  readonly goal: Omit<SocketGoal, 'headers' | 'port'>;
  readonly headers: (at: number) => readonly string[];
}

interface Size {
  readonly sockets: number;
  /** Without anything happening. */
  readonly seconds: number;
}

/** KiB for each socket of one process, above what it had without any. */
interface Round {
  /** At each of LOOKS. */
  readonly idleKib: readonly number[];
  readonly collectedKib: number;
  /** From the first handshake to the last, and in the seconds without anything to do. */
  readonly connectCpuSeconds: number;
  readonly idleCpuSeconds: number;
}

async function createOurs({ t }: BenchContext): Promise<Kind> {
  const nats = await startTestNats(t);
  const broker = await connect({ servers: nats.url });
  const { streams } = await jetstreamManager(broker);
  await streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], num_replicas: 1 });
  await broker.close();
  const issuer = await TokenIssuer.start(t);
  const tokens: string[] = [];
  return {
    name: 'notify-service',
    start: (own, env) =>
      startServiceProcess(own, {
        entry: 'services/notify-service/src/server.ts',
        env: {
          ...env,
          ...ROOMY_NOTIFY_LIMITS,
          NATS_URL: nats.url,
          JWKS_URL: issuer.url,
          PING_INTERVAL_SECONDS: String(QUIET_SECONDS),
        },
      }),
    goal: { until: '"ping_ms"' },
    headers: (at) => {
      tokens[at] ??= issuer.token(at + 1, { lifeSeconds: ACCESS_TOKEN_TTL_SECONDS_MAX });
      return ['Sec-WebSocket-Protocol: infrasignal.v1', `Authorization: Bearer ${tokens[at]}`];
    },
  };
}

function createPeer(name: string, way: string, goal: Kind['goal']): Kind {
  return {
    name,
    goal,
    headers: () => [],
    start: (t, env) => startServiceProcess(t, { entry: 'bench/peers/socket-server.ts', env: { ...env, WAY: way } }),
  };
}

/** A server of one round with its clients, and its memory. */
class Side {
  readonly #server: ServiceProcess;
  readonly #crowd: IdleCrowd;
  readonly #kind: Kind;
  readonly #collected: string;
  #collections = 0;
  #emptyKib = NaN;

  private constructor(kind: Kind, server: ServiceProcess, crowd: IdleCrowd, collected: string) {
    this.#kind = kind;
    this.#server = server;
    this.#crowd = crowd;
    this.#collected = collected;
  }

  static async start(t: Teardowns, kind: Kind): Promise<Side> {
    const directory = createTestDirectory(t);
    const preload = new URL('../profile/collect-preload.mjs', import.meta.url).href;
    const env = { NODE_OPTIONS: `--import=${preload} ${HEAP_FLAG}`, BENCH_COLLECTED_DIRECTORY: directory };
    const server = await kind.start(t, env);
    return new Side(kind, server, new IdleCrowd(t), directory);
  }

  get cpuSeconds(): number {
    return readCpuSeconds(this.#server.pid);
  }

  /** Opens some sockets and closes them, and notes what the process has without any. */
  async warmUp(): Promise<void> {
    await this.open(WARM_UP_SOCKETS);
    await this.#crowd.close();
    await waitFor(async () => (await this.#crowd.count()) === 0);
    await this.collect();
    this.#emptyKib = readResidentKib(this.#server.pid);
  }

  async open(count: number): Promise<void> {
    const { goal, headers } = this.#kind;
    await this.#crowd.open(
      { ...goal, port: this.#server.port },
      Array.from({ length: count }, (_, at) => headers(at)),
    );
  }

  /** @throws Error if a socket is gone: memory would be that of fewer */
  async readKib(count: number): Promise<number> {
    const open = await this.#crowd.count();
    if (open !== count) throw new Error(`${this.#kind.name} has ${open} of ${count} sockets left`);
    return (readResidentKib(this.#server.pid) - this.#emptyKib) / count;
  }

  async collect(): Promise<void> {
    this.#collections += 1;
    const path = join(this.#collected, `${this.#server.pid}-${this.#collections}`);
    await this.#server.kill('SIGUSR2');
    await waitFor(() => existsSync(path), { timeoutMs: COLLECT_TIMEOUT_MS, description: 'garbage to be collected' });
  }
}

/** Of a server that has just been connected to. */
async function watchIdle(side: Side, { sockets, seconds }: Size, connectCpuSeconds: number): Promise<Round> {
  const before = side.cpuSeconds;
  const startedAt = performance.now();
  const idleKib: number[] = [];
  for (const part of LOOKS) {
    await sleep(Math.max(0, startedAt + part * seconds * 1_000 - performance.now()));
    idleKib.push(await side.readKib(sockets));
  }
  const idleCpuSeconds = side.cpuSeconds - before;
  await side.collect();
  return { idleKib, collectedKib: await side.readKib(sockets), connectCpuSeconds, idleCpuSeconds };
}

/** One after the other is connected to; then all are idle at the same time. */
async function measureRound({ t, progress }: BenchContext, kinds: readonly Kind[], size: Size): Promise<Round[]> {
  const own = new Teardowns();
  t.teardown(() => own.run());
  try {
    const rounds: Promise<Round>[] = [];
    for (const kind of kinds) {
      const side = await Side.start(own, kind);
      await side.warmUp();
      const before = side.cpuSeconds;
      await side.open(size.sockets);
      rounds.push(watchIdle(side, size, side.cpuSeconds - before));
    }
    progress(`${size.sockets} sockets at each of ${kinds.length} servers`);
    return await Promise.all(rounds);
  } finally {
    await own.run();
  }
}

type Rounds = ReadonlyMap<Kind, readonly Round[]>;

function tabulate(rounds: Rounds, { seconds }: Size): Table {
  const kib = (name: string) => ({ name, digits: 2 });
  return {
    title: 'Resident memory of the server per idle socket, above what it had without any, KiB',
    columns: [
      { name: 'server' },
      ...LOOKS.map((part) => kib(`after ${(part * seconds).toFixed(0)} s`)),
      kib('collected by force'),
      { name: 'spread %' },
      kib('connecting: CPU s'),
      kib('idle: CPU s'),
    ],
    rows: [...rounds].map(([{ name }, own]) => {
      const left = own.map(({ idleKib }) => idleKib.at(-1) ?? NaN);
      return [
        name,
        ...LOOKS.map((_, at) => median(own.map(({ idleKib }) => idleKib[at] ?? NaN))),
        median(own.map(({ collectedKib }) => collectedKib)),
        spread(left) * 100,
        median(own.map(({ connectCpuSeconds }) => connectCpuSeconds)),
        median(own.map(({ idleCpuSeconds }) => idleCpuSeconds)),
      ];
    }),
  };
}

function headline(rounds: Rounds, { sockets }: Size, figure: string, kibOf: (round: Round) => number): Headline {
  // KB of 1,000 bytes, as the target is.
  const kbOf = (own: readonly Round[]): number => median(own.map(kibOf)) * 1.024;
  const sides = Object.fromEntries([...rounds].map(([{ name }, own]) => [`${name}, KB per socket`, kbOf(own)]));
  const [[, ours = []] = []] = rounds;
  const words = `${sockets} idle authenticated sockets, RSS per socket, ${figure}`;
  return { row: 7, figure: words, value: kbOf(ours), unit: 'KB', target: TARGET_KB, better: 'lower', sides };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options } = context;
  const { sockets = SOCKETS_DEFAULT, rounds: roundCount = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT } = options;
  const size: Size = { sockets, seconds };
  const kinds = [
    await createOurs(context),
    createPeer('@fastify/websocket', 'fastify-websocket', { until: '\r\n\r\n' }),
    createPeer('Socket.IO 4', 'socket.io', { path: SOCKET_IO_PATH, word: { after: '0{"sid"', text: '40' }, until: '40{"sid"' }),
  ];
  const rounds = new Map<Kind, Round[]>(kinds.map((kind) => [kind, []]));
  for (let at = 0; at < roundCount; at += 1) {
    const results = await measureRound(context, kinds, size);
    for (const [index, kind] of kinds.entries()) rounds.get(kind)?.push(...results.slice(index, index + 1));
  }
  return {
    headlines: [
      headline(rounds, size, `${seconds} s idle`, ({ idleKib }) => idleKib.at(-1) ?? NaN),
      headline(rounds, size, 'collected by force', ({ collectedKib }) => collectedKib),
    ],
    tables: [tabulate(rounds, size)],
    conditions: {
      processes: 'nats-server, the three servers, clients of each in a process of its own, this process',
      sockets,
      rounds: roundCount,
      pings: 'none, at any of them',
      heap: `${HEAP_FLAG} at all of them, as the image of notify-service has it`,
    },
    notes: [
      'VmRSS, each round with processes of its own. “Without any”: 500 sockets had come and gone, and garbage was ' +
        'collected by force. “After” is what the process has by itself; “collected by force” is what is alive, which ' +
        'no server comes down to without being told. Only ours knows who its sockets are of, and can resume them.',
    ],
    problems: [],
  };
}

export const idleSockets: BenchScenario = {
  name: 'idle-sockets',
  description: 'memory of one idle authenticated socket, beside @fastify/websocket and Socket.IO',
  options: [`--sockets (${SOCKETS_DEFAULT}) --rounds (${ROUNDS_DEFAULT}) --seconds (${SECONDS_DEFAULT}, idle)`],
  run,
};
