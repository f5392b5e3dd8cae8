import { nowMs, waitFor } from '@infrasignal/testkit';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, type AccountClient } from '../load/account-client.ts';
import { runOpenLoop } from '../load/open-loop.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, percentile } from '../statistics.ts';
import { tabulateMilliseconds, type Cell, type Table } from '../table.ts';

const SECONDS_DEFAULT = 120;
const ROUNDS_DEFAULT = 6;

/** A fraction of what two cores can hash: queues would hide what is asked here. */
const RATE_DEFAULT = 40;

/** More than are ever on their way at this rate, so that the generator always has a connection for the next one. */
const CONNECTIONS = 64;

/** Not measured: code is compiled, pools fill. */
const WARM_UP_SECONDS = 3;

/** Between two periods: everything that waited is published, and the broker is read again. */
const SETTLE_TIMEOUT_MS = 60_000;

/** How the broker is in a period. Twice there: how far these two lie apart is what the machine does by itself. */
const STATES = ['there', 'away', 'there again', 'frozen'] as const;
type BrokerState = (typeof STATES)[number];

/** How much slower the slowest registrations may be while the broker is away. */
const RATIO_MAX = 1.2;

interface Period {
  readonly state: BrokerState;
  readonly latenciesMs: readonly number[];
  readonly errors: readonly string[];
  readonly missed: number;
  /** Events that waited for the broker when the period was over. */
  readonly waiting: number;
  readonly usage: Usage;
}

interface Scene {
  readonly bench: BenchStack;
  readonly clients: readonly AccountClient[];
  readonly servers: readonly WatchedServer[];
  readonly ratePerSecond: number;
  readonly nextPhoneNumber: () => string;
}

async function countWaiting({ bench }: Scene): Promise<number> {
  const [row] = await bench.stack.database.query<{ count: number }>(
    'select count(*)::int as count from outbox where published_at is null',
  );
  return row?.count ?? NaN;
}

/** The broker that the published events are known to be on. */
async function readBrokerIdentity({ bench }: Scene): Promise<string> {
  const { database } = bench.stack;
  const rows = await database.query<{ identity: string }>('select broker_identity as identity from outbox_relay');
  return rows[0]?.identity ?? '';
}

async function bringBrokerTo(state: BrokerState, { bench }: Scene): Promise<void> {
  if (state === 'away') await bench.stack.nats.kill();
  if (state === 'frozen') await bench.stack.nats.kill('SIGSTOP');
}

/** A broker that was away is sent the events of the last minutes again, until it is known by its new name. */
async function bringBrokerBack(state: BrokerState, scene: Scene): Promise<void> {
  const { nats, notify } = scene.bench.stack;
  const identity = await readBrokerIdentity(scene);
  if (state === 'away') await nats.restart();
  if (state === 'frozen') await nats.kill('SIGCONT');
  const isSettled = async (): Promise<boolean> =>
    (await countWaiting(scene)) === 0 &&
    (state !== 'away' || (await readBrokerIdentity(scene)) !== identity) &&
    (await fetch(`${notify.url}/readyz`)).status === 200;
  await waitFor(isSettled, { timeoutMs: SETTLE_TIMEOUT_MS, description: 'what waited for the broker to be through' });
}

async function measure(state: BrokerState, seconds: number, scene: Scene): Promise<Period> {
  const { clients, nextPhoneNumber, ratePerSecond, servers } = scene;
  const latenciesMs: number[] = [];
  const errors: string[] = [];
  await bringBrokerTo(state, scene);
  const stopWatch = watchServers(servers);
  const { missed } = await runOpenLoop(clients.length, ratePerSecond, seconds, async (worker) => {
    const startedAt = nowMs();
    try {
      await clients[worker]?.register(nextPhoneNumber());
      latenciesMs.push(nowMs() - startedAt);
    } catch (error) {
      errors.push(String(error));
    }
  });
  const usage = stopWatch();
  const waiting = await countWaiting(scene);
  await bringBrokerBack(state, scene);
  return { state, latenciesMs, errors, missed, waiting, usage };
}

/** The states in another order each time: what drifts over the run falls on all alike. */
async function measureRound(round: number, seconds: number, scene: Scene): Promise<Period[]> {
  const periods: Period[] = [];
  for (const at of STATES.keys()) {
    const state = STATES[(round + at) % STATES.length] ?? 'there';
    periods.push(await measure(state, seconds, scene));
  }
  return periods;
}

function latenciesOf(periods: readonly Period[], ...states: readonly BrokerState[]): number[] {
  return periods.filter(({ state }) => states.includes(state)).flatMap(({ latenciesMs }) => latenciesMs);
}

/** CPU milliseconds of a server for one registration, in each period: what a busy machine does not change much. */
function cpuMsOf(periods: readonly Period[], state: BrokerState, server: string): number {
  const own = periods.filter((period) => period.state === state);
  const costOf = ({ usage, latenciesMs }: Period): number =>
    ((usage.cpuSeconds.get(server) ?? NaN) * 1_000) / latenciesMs.length;
  return median(own.map(costOf));
}

function tabulateCosts(periods: readonly Period[]): Table {
  const servers = ['auth-service', 'PostgreSQL', 'notify-service'];
  return {
    title: 'CPU milliseconds for one registration, by how the broker is',
    columns: [{ name: 'broker' }, ...servers.map((name) => ({ name, digits: 2 }))],
    rows: STATES.map((state): Cell[] => [state, ...servers.map((server) => cpuMsOf(periods, state, server))]),
  };
}

/** Beside all periods in which it was there. */
function toHeadline(periods: readonly Period[]): Headline {
  const there = percentile(latenciesOf(periods, 'there', 'there again'), 0.99);
  const away = percentile(latenciesOf(periods, 'away'), 0.99);
  return {
    row: 13,
    figure: 'registration p99 while the broker is away ÷ while it is there',
    value: away / there,
    unit: 'ratio',
    target: RATIO_MAX,
    better: 'lower',
    sides: { 'broker there, p99 ms': there, 'broker away, p99 ms': away },
  };
}

function tabulateRatios(rounds: readonly (readonly Period[])[]): Table {
  const ratio = (periods: readonly Period[], state: BrokerState, share: number): number =>
    percentile(latenciesOf(periods, state), share) / percentile(latenciesOf(periods, 'there'), share);
  const rows = STATES.slice(1).map((state): Cell[] => [
    `${state} ÷ there`,
    ratio(rounds.flat(), state, 0.5),
    ratio(rounds.flat(), state, 0.9),
    ratio(rounds.flat(), state, 0.99),
    median(rounds.map((periods) => ratio(periods, state, 0.99))),
    median(rounds.map((periods) => periods.find((period) => period.state === state)?.waiting ?? NaN)),
  ]);
  return {
    title: 'The same as ratios; p99 is to be at most 1.2',
    columns: [
      { name: 'broker' },
      ...['p50', 'p90', 'p99', 'p99, median of the rounds'].map((name) => ({ name, digits: 3 })),
      { name: 'events waiting at the end' },
    ],
    rows,
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds: roundCount = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, ratePerSecond = RATE_DEFAULT } = options;
  const bench = await startBenchStack(context, { hashes: 'production' });
  t.teardown(() => bench.stack.nats.kill('SIGCONT')); // a run that breaks off may leave it frozen
  let phoneNumbers = 0;
  const scene: Scene = {
    bench,
    clients: await openClients(t, bench.authUrls, CONNECTIONS),
    // The broker is another process after each restart.
    servers: bench.servers.filter(({ name }) => name !== 'nats-server'),
    ratePerSecond,
    nextPhoneNumber: () => `+33612${String((phoneNumbers += 1)).padStart(6, '0')}`,
  };
  const periodSeconds = seconds / roundCount / STATES.length;
  await measureRound(0, WARM_UP_SECONDS / STATES.length, scene);
  const rounds: Period[][] = [];
  while (rounds.length < roundCount) {
    const periods = await measureRound(rounds.length, periodSeconds, scene);
    rounds.push(periods);
    const p99s = STATES.map((state) => `${state} ${percentile(latenciesOf(periods, state), 0.99).toFixed(1)}`);
    progress(`round ${rounds.length} of ${roundCount}: p99 in ms: ${p99s.join(', ')}`);
  }
  const all = rounds.flat();
  const errors = all.flatMap((period) => period.errors);
  const missed = all.reduce((sum, period) => sum + period.missed, 0);
  const usage = describeUsage(scene.servers, all.map((period) => period.usage));
  const latencies = STATES.map((state) => [state, latenciesOf(all, state)] as const);
  return {
    headlines: [toHeadline(all)],
    tables: [
      tabulateMilliseconds('Registrations, by how the broker is', latencies),
      tabulateRatios(rounds),
      tabulateCosts(all),
      usage.table,
    ],
    conditions: {
      ...bench.conditions,
      registrations_per_second: ratePerSecond,
      seconds_of_each_period: periodSeconds,
      rounds: roundCount,
    },
    notes: [
      ...usage.notes,
      'away: killed, and its port refuses. frozen: stopped with all its connections open, and nothing answers. ' +
        '“there again ÷ there” is the same twice: a ratio that lies no further from 1 says nothing. A period begins when ' +
        'everything of the one before is through, what a broker that is back is sent again included.',
      `p99 of ${latenciesOf(all, 'away').length} samples: as many lie above it as a hundredth of them.`,
      ...(missed > 0 ? [`${missed} registrations that were due were not sent: every connection was busy`] : []),
    ],
    problems: errors.length === 0 ? [] : [`${errors.length} registrations did not succeed, for instance: ${errors[0]}`],
  };
}

export const brokerAway: BenchScenario = {
  name: 'broker-away',
  description: 'registrations while the broker is away, and frozen, beside those while it is there',
  options: [
    `--seconds (${SECONDS_DEFAULT}, all rounds together) --rounds (${ROUNDS_DEFAULT}) --rate (${RATE_DEFAULT})`,
    '--hashes (production)',
  ],
  run,
};
