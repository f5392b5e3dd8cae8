import {
  ACCESS_TOKEN_TTL_SECONDS_MAX,
  EVENTS_STREAM,
  eventSubject,
  toExampleEvent,
  userLogin,
} from '@infrasignal/shared';
import {
  nowMs,
  ROOMY_NOTIFY_LIMITS,
  startServiceProcess,
  startTestNats,
  TokenIssuer,
  waitFor,
  type ServiceProcess,
  type TestNats,
} from '@infrasignal/testkit';
import { jetstream, jetstreamManager, type JetStreamClient } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CutProxy } from '../load/cut-proxy.ts';
import { runOpenLoop } from '../load/open-loop.ts';
import type { CrowdState } from '../load/returning-crowd-process.ts';
import { ReturningCrowd } from '../load/returning-crowd.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, percentile } from '../statistics.ts';
import { tabulateMilliseconds, type Cell, type Table } from '../table.ts';

const SOCKETS_DEFAULT = 10_000;
const ROUNDS_DEFAULT = 5;
const RATE_DEFAULT = 500;

const CUT_MS = 2_000;

/** Events flow, and are read live, before each cut. */
const CALM_MS = 1_000;

/** Everybody is back in seconds, or something is wrong. */
const RETURN_TIMEOUT_MS = 120_000;
const FRAMES_TIMEOUT_MS = 30_000;

/** Each keeps both sides of its connections open, and a process may have 20,000 of them on many machines. */
const CONNECTIONS_PER_PROXY = 5_000;

/** Connected at once while the scene is set: more than the node takes in a second would only be sent away for now. */
const PORTION = 250;

/** Events on their way to the broker at once. */
const PUBLISHERS = 64;

/** Target of the headline, from the return of the network. */
const WHOLE_SECONDS_TARGET = 3;

interface Scene {
  readonly node: ServiceProcess;
  readonly proxies: readonly CutProxy[];
  readonly crowd: ReturningCrowd;
  readonly source: Source;
  readonly servers: readonly WatchedServer[];
}

interface Round {
  /** From the return of the network until each client had `connected` and what it had missed, ms. */
  readonly wholeMs: readonly number[];
  /** The same from the cut. */
  readonly sinceCutMs: readonly number[];
  readonly state: CrowdState;
  readonly usage: Usage;
}

/** Publishes as auth-service's relay would: each user's events one after the other, with a `seq` without holes. */
class Source {
  readonly #js: JetStreamClient;
  /** Of each user, what the broker has acknowledged. The first has the id 1. */
  readonly newestSeqs: number[];
  #turn = 0;

  constructor(js: JetStreamClient, users: number) {
    this.#js = js;
    this.newestSeqs = Array.from({ length: users }, () => 0);
  }

  /** The next user in turn: by the time it is this one's turn again, this event is acknowledged. */
  async publish(): Promise<void> {
    const at = this.#turn;
    this.#turn = (at + 1) % this.newestSeqs.length;
    const userId = at + 1;
    const seq = (this.newestSeqs[at] ?? 0) + 1;
    const example = toExampleEvent(userLogin, seq);
    const id = randomUUID();
    const event = {
      ...example,
      id,
      subject: `users/${userId}`,
      time: new Date().toISOString(),
      data: { ...example.data, user_id: userId },
    };
    await this.#js.publish(eventSubject(userId, userLogin.type), JSON.stringify(event), { msgID: id });
    this.newestSeqs[at] = seq;
  }
}

async function startNode({ t }: BenchContext, nats: TestNats, issuer: TokenIssuer): Promise<ServiceProcess> {
  // Everybody comes from one address here, and from many where it matters; what the node takes in is as in production.
  const { SOCKETS_PER_ADDRESS_MAX, HANDSHAKES_PER_ADDRESS_PER_SECOND_MAX } = ROOMY_NOTIFY_LIMITS;
  return startServiceProcess(t, {
    entry: 'services/notify-service/src/server.ts',
    env: {
      NATS_URL: nats.url,
      JWKS_URL: issuer.url,
      SOCKETS_PER_ADDRESS_MAX,
      HANDSHAKES_PER_ADDRESS_PER_SECOND_MAX,
    },
  });
}

async function setScene(context: BenchContext, sockets: number): Promise<Scene> {
  const { t, progress } = context;
  const nats = await startTestNats(t);
  const broker = await connect({ servers: nats.url });
  t.teardown(() => broker.close());
  const { streams } = await jetstreamManager(broker);
  await streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], num_replicas: 1 });
  const issuer = await TokenIssuer.start(t);
  const node = await startNode(context, nats, issuer);
  const crowd = new ReturningCrowd(t);
  const proxies: CutProxy[] = [];
  const lifeSeconds = ACCESS_TOKEN_TTL_SECONDS_MAX;
  for (let from = 0; from < sockets; from += CONNECTIONS_PER_PROXY) {
    const proxy = await CutProxy.start(t, node.port);
    proxies.push(proxy);
    const count = Math.min(CONNECTIONS_PER_PROXY, sockets - from);
    const tokens = Array.from({ length: count }, (_, at) => issuer.token(from + at + 1, { lifeSeconds }));
    for (let at = 0; at < count; at += PORTION) await crowd.connect(proxy.port, tokens.slice(at, at + PORTION));
  }
  progress(`${sockets} sockets connected`);
  return {
    node,
    proxies,
    crowd,
    source: new Source(jetstream(broker), sockets),
    servers: [
      { name: 'nats-server', pid: nats.pid, hasChildren: false },
      { name: 'notify-service', pid: node.pid, hasChildren: false },
      ...proxies.map(({ pid }, at) => ({ name: `network ${at + 1}`, pid, hasChildren: false })),
      { name: 'clients', pid: crowd.pid, hasChildren: false },
    ],
  };
}

async function cutOnce({ proxies, crowd, servers, source }: Scene): Promise<Round> {
  await crowd.forget();
  await sleep(CALM_MS);
  const stopWatch = watchServers(servers);
  const cutAt = nowMs();
  await Promise.all(proxies.map((proxy) => proxy.cut()));
  await sleep(Math.max(0, cutAt + CUT_MS - nowMs()));
  // On a machine that is far too busy the clients hear of it later than that; nobody may be left who did not.
  const total = source.newestSeqs.length;
  await waitFor(async () => (await crowd.countAway()) === total, { description: 'everybody to be cut off' });
  await Promise.all(proxies.map((proxy) => proxy.mend()));
  const mendedAt = nowMs();
  await waitFor(async () => (await crowd.countAway()) === 0, {
    timeoutMs: RETURN_TIMEOUT_MS,
    intervalMs: 100,
    description: 'everybody to be back',
  });
  const usage = stopWatch();
  const state = await crowd.look();
  const timesSince = (from: number): number[] => state.wholeAtMs.map((at) => (at ?? NaN) - from);
  return { wholeMs: timesSince(mendedAt), sinceCutMs: timesSince(cutAt), state, usage };
}

/** Cuts again and again while events flow. @returns the rounds, and how many events were acknowledged */
async function cutRounds({ progress }: BenchContext, scene: Scene, count: number, rate: number): Promise<Round[]> {
  let isStopped = false;
  const flowing = (async () => {
    while (!isStopped) await runOpenLoop(PUBLISHERS, rate, 1, () => scene.source.publish());
  })();
  const rounds: Round[] = [];
  try {
    for (let at = 0; at < count; at += 1) {
      const round = await cutOnce(scene);
      rounds.push(round);
      progress(`cut ${at + 1}: p99 whole ${percentile(round.wholeMs, 0.99).toFixed(0)} ms after the network was back`);
    }
  } finally {
    isStopped = true;
    await flowing;
  }
  return rounds;
}

interface Verdict {
  readonly published: number;
  readonly delivered: number;
  readonly repeated: number;
  readonly unrecovered: number;
}

/** Holds what each client was told of against what was acknowledged for its user. */
async function judge({ crowd, source: { newestSeqs } }: Scene): Promise<Verdict> {
  const isComplete = async (): Promise<boolean> =>
    (await crowd.look()).newestSeqs.every((seq, at) => seq === newestSeqs[at]);
  await waitFor(isComplete, { timeoutMs: FRAMES_TIMEOUT_MS, intervalMs: 500 }).catch(() => undefined); // it is counted
  const state = await crowd.look();
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    published: sum(newestSeqs),
    delivered: sum(state.newestSeqs) - state.missed,
    repeated: state.repeated,
    unrecovered: state.unrecovered,
  };
}

function tabulate(rounds: readonly Round[]): Table {
  return {
    title: 'Each cut: seconds from the return of the network until a client had `connected` and all that it had missed',
    columns: [
      { name: 'cut' },
      ...['p50', 'p99', 'max'].map((name) => ({ name, digits: 2 })),
      { name: 'handshakes/s' },
      { name: 'refused: 503' },
      { name: 'refused: other' },
      { name: 'found nobody' },
      { name: 'notify-service CPU s', digits: 2 },
      { name: 'clients busy %' },
    ],
    rows: rounds.map(({ wholeMs, state, usage }, at): Cell[] => {
      const seconds = (share: number): number => percentile(wholeMs, share) / 1_000;
      const { 503: busy = 0, ...others } = state.refusals;
      const refused = Object.values(others).reduce((sum, count) => sum + count, 0);
      const cpuSeconds = usage.cpuSeconds.get('notify-service') ?? NaN;
      return [
        String(at + 1),
        ...[0.5, 0.99, 1].map(seconds),
        wholeMs.length / seconds(1),
        busy,
        refused,
        state.unreachable,
        cpuSeconds,
        state.busyShare * 100,
      ];
    }),
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options } = context;
  const { sockets = SOCKETS_DEFAULT, rounds: count = ROUNDS_DEFAULT, ratePerSecond = RATE_DEFAULT } = options;
  const scene = await setScene(context, sockets);
  const rounds = await cutRounds(context, scene, count, ratePerSecond);
  const { published, delivered, repeated, unrecovered } = await judge(scene);
  const { table, notes } = describeUsage(scene.servers, rounds.map(({ usage }) => usage));
  const share = (delivered / published) * 100;
  const p99Seconds = median(rounds.map(({ wholeMs }) => percentile(wholeMs, 0.99))) / 1_000;
  const figure = `${sockets} sockets cut for ${CUT_MS / 1_000} s with events flowing`;
  return {
    headlines: [
      { row: 9, figure: `${figure}, share delivered`, value: share, unit: '%', target: 100, better: 'higher' },
      {
        row: 9,
        figure: `${figure}, p99 from the return of the network to whole`,
        value: p99Seconds,
        unit: 's',
        target: WHOLE_SECONDS_TARGET,
        better: 'lower',
      },
    ],
    tables: [
      tabulate(rounds),
      tabulateMilliseconds('All cuts together', [
        ['network back → whole', rounds.flatMap(({ wholeMs }) => wholeMs)],
        ['cut → whole', rounds.flatMap(({ sinceCutMs }) => sinceCutMs)],
        ['published → read, those of the cuts included', rounds.flatMap(({ state }) => state.latenciesMs)],
      ]),
      {
        title: 'Delivery',
        columns: ['published', 'delivered', 'repeated', 'recovered: false'].map((name) => ({ name })),
        rows: [[published, delivered, repeated, unrecovered]],
      },
      table,
    ],
    conditions: {
      processes: `nats-server, notify-service × 1, network × ${scene.proxies.length}, clients, this process, which publishes`,
      sockets,
      rounds: count,
      events_per_second: ratePerSecond,
      back_off: 'full jitter, 0.2 s doubled up to 2 s',
    },
    notes: [
      ...notes,
      'A cut resets every connection at both ends, and new ones are refused until it is over. The node’s own limits are ' +
        'as in production, those of one address are lifted. The network’s processes and the clients share the machine.',
    ],
    problems: delivered < published || repeated + unrecovered > 0 ? ['not everybody got everything exactly once'] : [],
  };
}

export const networkCut: BenchScenario = {
  name: 'network-cut',
  description: 'all sockets cut off for two seconds with events flowing: who gets what, and how soon',
  options: [`--sockets (${SOCKETS_DEFAULT}) --rounds (${ROUNDS_DEFAULT}) --rate (${RATE_DEFAULT}) events a second`],
  run,
};
