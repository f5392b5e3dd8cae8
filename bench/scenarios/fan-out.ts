import { scrape, startTestNats } from '@infrasignal/testkit';
import { connect } from '@nats-io/transport-node';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOurs, createPeer, SOCKET_IO_JOINED, type Way } from '../load/fan-out-ways.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, spread } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';

const SIZES_DEFAULT = [1_000, 5_000];
const SECONDS_DEFAULT = 45;
const ROUNDS_DEFAULT = 5;

/** Notifications that are due in the same turn of the event loop. */
const DUE_AT_ONCE = [1, 10];

/** Not measured: everything is compiled after it, and the garbage of the handshakes collected. */
const WARM_UP_SECONDS = 2;

/** From the broker's answer until what it relays has reached the socket of a process that is stopped. */
const ARRIVAL_MS = 2;

/** A crowd that takes as much of a core as this could not have read faster. */
const CROWD_CORES_MAX = 0.85;

const OURS = 'notify-service';
const PLAIN_WS = 'plain ws';
const SOCKET_IO = 'Socket.IO 4';
const RAW = 'ceiling: framed once, raw writes';

interface Round {
  readonly deliveries: number;
  readonly bytes: number;
  readonly cpuSeconds: number;
  readonly crowdCores: number;
  readonly usage: Usage;
}

/** One size and number of notifications at once, and what each way did in each round. */
interface Measurement {
  readonly sockets: number;
  readonly dueAtOnce: number;
  readonly rounds: ReadonlyMap<Way, readonly Round[]>;
  /** Of ours, frames in one write. */
  readonly coalescing: number;
}

/** Sends again and again, each time when everybody has what was sent before. */
class Sender {
  readonly #way: Way;
  readonly #sockets: number;
  /** Frames that the crowd has been sent in all. */
  #frames: number;
  #bytes = 0;

  private constructor(way: Way, sockets: number) {
    this.#way = way;
    this.#sockets = sockets;
    this.#frames = sockets * way.greetings;
  }

  static async connect(way: Way, sockets: number): Promise<Sender> {
    const sender = new Sender(way, sockets);
    const { crowd, entry, server } = way;
    await crowd.connect(server.port, Array.from({ length: sockets }, (_, at) => way.headers(at)), entry);
    sender.#bytes = await crowd.countTo(sender.#frames);
    return sender;
  }

  async measure(servers: readonly WatchedServer[], dueAtOnce: number, seconds: number): Promise<Round> {
    const { name, crowd } = this.#way;
    const stopWatch = watchServers(servers);
    const [framesBefore, bytesBefore] = [this.#frames, this.#bytes];
    const until = performance.now() + seconds * 1_000;
    while (performance.now() < until) {
      await this.#send(dueAtOnce);
      this.#frames += dueAtOnce * this.#sockets;
      this.#bytes = await crowd.countTo(this.#frames);
    }
    const usage = stopWatch();
    return {
      deliveries: this.#frames - framesBefore,
      bytes: this.#bytes - bytesBefore,
      cpuSeconds: usage.cpuSeconds.get(name) ?? NaN,
      crowdCores: (usage.cpuSeconds.get(crowdNameOf(this.#way)) ?? NaN) / usage.seconds,
      usage,
    };
  }

  /** Several are made due in the same turn by stopping the server while they come, as a long task would. */
  async #send(count: number): Promise<void> {
    const way = this.#way;
    const { server } = way;
    if (count === 1) {
      await way.publish(1);
      return;
    }
    await server.kill('SIGSTOP');
    try {
      await way.publish(count);
      await sleep(ARRIVAL_MS);
    } finally {
      await server.kill('SIGCONT');
    }
  }
}

function crowdNameOf({ name }: Way): string {
  return `clients of ${name}`;
}

/** Frames in one write of notify-service, between two looks. */
async function watchWrites({ server }: Way): Promise<() => Promise<number>> {
  const read = async (): Promise<{ writes: number; coalesced: number }> => {
    const metrics = await scrape(server.url);
    const coalesced = metrics.sum('infrasignal_coalesced_frames_total');
    return { writes: metrics.sum('infrasignal_writes_total'), coalesced };
  };
  const before = await read();
  return async () => {
    const after = await read();
    return 1 + (after.coalesced - before.coalesced) / (after.writes - before.writes);
  };
}

/** One size: every way in turn, round by round, so that whatever else the machine does falls on all of them. */
async function measureSize(
  { options, progress }: BenchContext,
  ways: readonly Way[],
  servers: readonly WatchedServer[],
  sockets: number,
): Promise<Measurement[]> {
  const { rounds: roundCount = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT } = options;
  const senders = new Map<Way, Sender>();
  for (const way of ways) senders.set(way, await Sender.connect(way, sockets));
  progress(`${sockets} sockets at each of ${ways.length} servers`);
  const measurements: Measurement[] = [];
  for (const dueAtOnce of DUE_AT_ONCE) {
    for (const sender of senders.values()) await sender.measure(servers, dueAtOnce, WARM_UP_SECONDS);
    const rounds = new Map<Way, Round[]>(ways.map((way) => [way, []]));
    const [ours] = ways;
    const stopWatch = ours === undefined ? null : await watchWrites(ours);
    for (let at = 0; at < roundCount; at += 1) {
      for (const [way, sender] of senders) {
        const slice = seconds / roundCount / ways.length / DUE_AT_ONCE.length;
        rounds.get(way)?.push(await sender.measure(servers, dueAtOnce, slice));
      }
    }
    measurements.push({ sockets, dueAtOnce, rounds, coalescing: (await stopWatch?.()) ?? NaN });
    progress(`${dueAtOnce} at once: ${roundCount} rounds`);
  }
  for (const { crowd } of ways) await crowd.disconnect();
  return measurements;
}

function tabulate(measurements: readonly Measurement[]): Table {
  return {
    title: 'Deliveries per CPU second of the server, all its threads, user and kernel',
    columns: [
      { name: 'sockets' },
      { name: 'due at once' },
      { name: 'server' },
      { name: 'deliveries per CPU s' },
      { name: 'spread %' },
      { name: 'CPU µs each', digits: 2 },
      { name: 'a second' },
      { name: 'bytes each' },
      { name: 'clients cores', digits: 2 },
    ],
    rows: measurements.flatMap(({ sockets, dueAtOnce, rounds }) =>
      [...rounds].map(([{ name }, own]): Cell[] => {
        const rates = own.map(({ deliveries, cpuSeconds }) => deliveries / cpuSeconds);
        const perSecond = median(own.map(({ deliveries, usage }) => deliveries / usage.seconds));
        const size = median(own.map(({ bytes, deliveries }) => bytes / deliveries));
        const cores = median(own.map(({ crowdCores }) => crowdCores));
        const rate = median(rates);
        return [sockets, dueAtOnce, name, rate, spread(rates) * 100, 1e6 / rate, perSecond, size, cores];
      }),
    ),
  };
}

/** Ours beside each peer, by pairs of the same round. */
function compare(measurements: readonly Measurement[]): Table {
  return {
    title: 'Deliveries per CPU second, ours ÷ theirs (median of the rounds)',
    columns: [
      { name: 'sockets' },
      { name: 'due at once' },
      { name: 'beside' },
      { name: 'ratio', digits: 2 },
      { name: 'spread %' },
      { name: 'ours: frames in a write', digits: 1 },
    ],
    rows: measurements.flatMap(({ sockets, dueAtOnce, rounds, coalescing }) => {
      const [[, ours = []] = [], ...peers] = rounds;
      return peers.map(([{ name }, theirs]): Cell[] => {
        const ratios = ours.map((round, at) => rateOf(round) / rateOf(theirs[at]));
        return [sockets, dueAtOnce, name, median(ratios), spread(ratios) * 100, coalescing];
      });
    }),
  };
}

/** The figures that targets are set for. */
const TARGETS = [
  { row: 5, dueAtOnce: 1, beside: RAW, figure: 'one notification at a time, ÷ pre-framed raw writes', target: 0.9 },
  { row: 5, dueAtOnce: 1, beside: SOCKET_IO, figure: 'one notification at a time, ÷ Socket.IO 4', target: 1.5 },
  { row: 6, dueAtOnce: 10, beside: PLAIN_WS, figure: '10 due at once, ÷ a loop of ws.send', target: 5 },
] as const;

function toHeadlines(measurements: readonly Measurement[]): Headline[] {
  return measurements.flatMap(({ sockets, dueAtOnce, rounds }) => {
    const sides = [...rounds].map(([{ name }, own]) => [name, own] as const);
    const byName = new Map(sides);
    const drawn = sides.map(([name, own]) => [`${name}, deliveries/CPU s`, Math.round(median(own.map(rateOf)))]);
    return TARGETS.filter((target) => target.dueAtOnce === dueAtOnce).map(({ row, beside, figure, target }) => {
      const theirs = byName.get(beside);
      const ratios = byName.get(OURS)?.map((round, at) => rateOf(round) / rateOf(theirs?.[at])) ?? [];
      return {
        row,
        figure: `${sockets} sockets, ${figure}`,
        value: median(ratios),
        unit: 'ratio',
        target,
        better: 'higher',
        sides: Object.fromEntries(drawn) as Record<string, number>,
      };
    });
  });
}

function rateOf(round: Round | undefined): number {
  return round === undefined ? NaN : round.deliveries / round.cpuSeconds;
}

function judgeCrowds(rounds: readonly Round[]): string {
  const cores = Math.max(...rounds.map(({ crowdCores }) => crowdCores));
  const figures = `their process took up to ${cores.toFixed(2)} cores`;
  return cores > CROWD_CORES_MAX
    ? `THE CLIENTS WERE THE BOTTLENECK of the deliveries a second (${figures}), not of those per CPU second: nothing is ` +
        'sent before everything that was sent has been read.'
    : `The clients were not the bottleneck: ${figures}.`;
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options } = context;
  const nats = await startTestNats(t);
  const broker = await connect({ servers: nats.url });
  t.teardown(() => broker.close());
  const ways = [
    await createOurs(context, nats, broker, OURS),
    await createPeer(context, nats, broker, { name: PLAIN_WS, kind: 'ws' }),
    await createPeer(context, nats, broker, { name: SOCKET_IO, kind: 'socket.io', entry: SOCKET_IO_JOINED }),
    await createPeer(context, nats, broker, { name: RAW, kind: 'raw' }),
  ];
  const servers: WatchedServer[] = [
    { name: 'nats-server', pid: nats.pid, hasChildren: false },
    ...ways.map(({ name, server }) => ({ name, pid: server.pid, hasChildren: false })),
    ...ways.map((way) => ({ name: crowdNameOf(way), pid: way.crowd.pid, hasChildren: false })),
  ];
  const sizes = options.sockets === undefined ? SIZES_DEFAULT : [options.sockets];
  const measurements: Measurement[] = [];
  for (const size of sizes) measurements.push(...(await measureSize(context, ways, servers, size)));
  const rounds = measurements.flatMap((measurement) => [...measurement.rounds.values()].flat());
  const { table, notes } = describeUsage(servers, rounds.map(({ usage }) => usage));
  return {
    headlines: toHeadlines(measurements),
    tables: [tabulate(measurements), compare(measurements), table],
    conditions: {
      processes: 'nats-server (stream in memory), the servers, clients of each, this process, which publishes',
      sockets: sizes.join(', '),
      rounds: options.rounds ?? ROUNDS_DEFAULT,
      seconds_per_size: options.seconds ?? SECONDS_DEFAULT,
      audience: 'the feed of everything (notifications:all), each socket by a user of its own',
      pings: 'none',
    },
    notes: [
      ...notes,
      judgeCrowds(rounds),
      'A notification, or ten, is published when everybody has the last; ten are due at once because the server is ' +
        'stopped (SIGSTOP) while they come. All send the same text. The loopback interface receives within the ' +
        'sender’s system call, on the sender’s CPU time: alike for all, and most of what a delivery costs.',
    ],
    problems: [],
  };
}

export const fanOut: BenchScenario = {
  name: 'fan-out',
  description: 'deliveries per CPU second, single and coalesced, beside a ws loop, Socket.IO and raw writes',
  options: [`--sockets (${SIZES_DEFAULT.join(' and ')}) --rounds (${ROUNDS_DEFAULT}) --seconds (${SECONDS_DEFAULT}) for each size`],
  run,
};
