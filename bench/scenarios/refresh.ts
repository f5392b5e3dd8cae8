import type { TokenResponse } from '@infrasignal/shared';
import { startServiceProcess, type ServiceProcess } from '@infrasignal/testkit';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, readTokens, registerMany } from '../load/account-client.ts';
import { runClosedLoop, type LoopResult } from '../load/closed-loop.ts';
import { ServiceProfiler } from '../profile/service-profiler.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, percentile, spread } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';

const SECONDS_DEFAULT = 40;
const ROUNDS_DEFAULT = 5;
const CONCURRENCY_DEFAULT = 8;
const SESSIONS_DEFAULT = 200;

/** Of both servers: what auth-service has by default. */
const POOL_MAX = '10';

/** Not measured: each side is compiled and has its connections after it. */
const WARM_UP_SECONDS = 4;

/** One server under load: every call is one request that has succeeded. */
interface Side {
  readonly name: string;
  /** As in the list of watched servers. */
  readonly server: string;
  /** The table whose counters say how many requests were carried out. */
  readonly table: string;
  /** How many calls have succeeded, the warm-up's among them. */
  count: number;
  perform(worker: number): Promise<void>;
}

interface Round {
  readonly loop: LoopResult;
  readonly usage: Usage;
}

interface Pair {
  readonly ours: Round;
  readonly bare: Round;
}

/** Sessions of a worker: it goes through them in turn, so that no two requests ever want the same row. */
function dealOut<Item>(items: readonly Item[], worker: number, workers: number): Item[] {
  return items.filter((_, at) => at % workers === worker);
}

/** The rotation that a refresh token stands for; see its form in docs/protocol/http.md. */
function readCounter(refreshToken: string): number {
  return Number(refreshToken.split('.')[2]);
}

/** Refreshes each session with its newest token, so that every request is a real rotation. */
async function createOurs(
  { t }: BenchContext,
  { authUrls }: BenchStack,
  sessions: readonly TokenResponse[],
  concurrency: number,
): Promise<Side> {
  const clients = await openClients(t, authUrls, concurrency);
  const workers = clients.map((client, worker) => ({
    client,
    tokens: dealOut(sessions, worker, concurrency).map(({ refresh }) => refresh),
    turn: 0,
  }));
  const perform = async (at: number): Promise<void> => {
    const worker = workers[at];
    if (worker === undefined) throw new RangeError(`no worker ${at}`);
    const slot = worker.turn++ % worker.tokens.length;
    const token = worker.tokens[slot] ?? '';
    const { refresh } = readTokens(await worker.client.refresh(token));
    if (readCounter(refresh) !== readCounter(token) + 1) throw new Error('a refresh was answered that was no rotation');
    worker.tokens[slot] = refresh;
    side.count += 1;
  };
  const name = 'auth-service: POST /api/token/refresh/';
  const side: Side = { name, server: 'auth-service', table: 'sessions', count: 0, perform };
  return side;
}

/** The same rows in a table of their own, updated by primary key and nothing else. */
async function createBare(
  { t }: BenchContext,
  { stack }: BenchStack,
  concurrency: number,
): Promise<{ side: Side; watched: WatchedServer }> {
  await stack.database.query('create table bench_sessions (like sessions including all)');
  await stack.database.query('insert into bench_sessions select * from sessions');
  await stack.database.query('vacuum analyze');
  const ids = await stack.database.query<{ id: string }>('select id from bench_sessions order by id');
  const server = await startServiceProcess(t, {
    entry: new URL('../peers/bare-update-server.ts', import.meta.url),
    env: { DATABASE_URL: stack.database.url, DATABASE_POOL_MAX: POOL_MAX },
  });
  const clients = await openClients(t, [server.url], concurrency);
  const workers = clients.map(({ connection }, worker) => ({
    connection,
    ids: dealOut(ids, worker, concurrency).map(({ id }) => id),
    turn: 0,
  }));
  const perform = async (at: number): Promise<void> => {
    const worker = workers[at];
    if (worker === undefined) throw new RangeError(`no worker ${at}`);
    const id = worker.ids[worker.turn++ % worker.ids.length] ?? '';
    const { status, body } = await worker.connection.post('/update', { id });
    if (status !== 200) throw new Error(`the bare route answered ${status}: ${body.slice(0, 300)}`);
    JSON.parse(body); // as the other side does
    side.count += 1;
  };
  const watched = { name: 'bare Fastify + pg', pid: server.pid, hasChildren: false };
  const name = `${watched.name}: one UPDATE by primary key`;
  const side: Side = { name, server: watched.name, table: 'bench_sessions', count: 0, perform };
  return { side, watched };
}

async function measureRound(side: Side, { servers, concurrency, roundSeconds }: Plan): Promise<Round> {
  const stopWatch = watchServers(servers);
  const loop = await runClosedLoop(concurrency, roundSeconds, (worker) => side.perform(worker));
  return { loop, usage: stopWatch() };
}

interface Plan {
  readonly ours: Side;
  readonly bare: Side;
  readonly servers: readonly WatchedServer[];
  readonly concurrency: number;
  readonly rounds: number;
  readonly roundSeconds: number;
  /** Measures while a profile is taken, if one is wanted. */
  readonly profile: (measure: () => Promise<Round>) => Promise<Round>;
}

/** Rounds by turns, and who begins changes too: what drifts over the run falls on both alike. */
async function measurePairs({ progress }: BenchContext, plan: Plan): Promise<Pair[]> {
  const { ours, bare, concurrency, rounds, roundSeconds, profile } = plan;
  const measureOurs = (): Promise<Round> => profile(() => measureRound(ours, plan));
  const measureBare = (): Promise<Round> => measureRound(bare, plan);
  for (const side of [bare, ours]) {
    await runClosedLoop(concurrency, WARM_UP_SECONDS, (worker) => side.perform(worker));
  }
  progress(`warm; ${rounds} rounds of ${roundSeconds.toFixed(1)} s on each side`);
  const pairs: Pair[] = [];
  while (pairs.length < rounds) {
    const isOursFirst = pairs.length % 2 === 0;
    const first = await (isOursFirst ? measureOurs() : measureBare());
    const second = await (isOursFirst ? measureBare() : measureOurs());
    const pair = isOursFirst ? { ours: first, bare: second } : { ours: second, bare: first };
    pairs.push(pair);
    const [ourRate, bareRate] = [pair.ours.loop.ratePerSecond, pair.bare.loop.ratePerSecond];
    progress(
      `round ${pairs.length}: ${ourRate.toFixed(0)} refreshes/s, bare ${bareRate.toFixed(0)}/s, ` +
        `ratio ${(ourRate / bareRate).toFixed(3)}`,
    );
  }
  return pairs;
}

async function measureProfiled(
  profiler: ServiceProfiler | null,
  service: ServiceProcess,
  measure: () => Promise<Round>,
): Promise<Round> {
  await profiler?.start(service);
  const round = await measure();
  await profiler?.stop();
  return round;
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, concurrency = CONCURRENCY_DEFAULT } = options;
  const sessionCount = Math.max(options.sessions ?? SESSIONS_DEFAULT, concurrency);
  const profiler = options.isProfiled ? new ServiceProfiler() : null;
  const authEnv = { DATABASE_POOL_MAX: POOL_MAX, ...profiler?.environment };
  const bench = await startBenchStack(context, { hashes: 'cheap', authEnv });
  const sessions = await registerMany(t, bench.authUrls, sessionCount);
  progress(`${sessions.length} sessions open`);
  const ours = await createOurs(context, bench, sessions, concurrency);
  const { side: bare, watched } = await createBare(context, bench, concurrency);
  const servers = [...bench.servers, watched];
  const roundSeconds = seconds / rounds / 2;
  const pairs = await measurePairs(context, {
    ours,
    bare,
    servers,
    concurrency,
    rounds,
    roundSeconds,
    profile: (measure) => measureProfiled(profiler, bench.stack.auth, measure),
  });
  const usages = pairs.flatMap((pair) => [pair.ours.usage, pair.bare.usage]);
  const usage = describeUsage(servers, usages);
  return {
    headlines: [toHeadline(pairs)],
    tables: [
      tabulateSides(ours, bare, pairs),
      tabulateRatio(pairs),
      usage.table,
      ...(profiler?.tabulate() ?? []),
    ],
    conditions: {
      ...bench.conditions,
      seconds_of_each_round: roundSeconds,
      rounds_of_each_side: rounds,
      concurrency,
      sessions: sessionCount,
      pool_of_each_server: POOL_MAX,
    },
    notes: [
      ...usage.notes,
      'The bare route updates a copy of the table of sessions in the same database. It checks, signs and logs nothing.',
      'CPU ms/request: what the kernel says a process used in a round, divided by its requests; median of the rounds.',
      'spread: (max − min) ÷ median.',
    ],
    problems: [...(await checkRows(bench, ours)), ...(await checkRows(bench, bare))],
  };
}

/** The database has counted too: an answer without its UPDATE would be a fast one. */
async function checkRows({ stack }: BenchStack, { name, table, count }: Side): Promise<string[]> {
  const [row] = await stack.database.query<{ sum: number }>(`select sum(refresh_counter)::float8 as sum from ${table}`);
  return row?.sum === count ? [] : [`${name}: ${count} answers, but ${row?.sum ?? 0} updates in the database`];
}

function tabulateSides(ours: Side, bare: Side, pairs: readonly Pair[]): Table {
  return {
    title: 'Refresh beside a bare route, in rounds by turns',
    columns: [
      { name: 'side' },
      { name: 'requests/s (median)' },
      { name: 'min' },
      { name: 'max' },
      { name: 'spread', digits: 3 },
      { name: 'server CPU ms/request', digits: 3 },
      { name: 'PostgreSQL CPU ms/request', digits: 3 },
      { name: 'p50 ms', digits: 2 },
      { name: 'p99 ms', digits: 2 },
      { name: 'requests' },
    ],
    rows: [
      toRow(bare, pairs.map((pair) => pair.bare)),
      toRow(ours, pairs.map((pair) => pair.ours)),
    ],
  };
}

function toRow(side: Side, rounds: readonly Round[]): Cell[] {
  const rates = rounds.map(({ loop }) => loop.ratePerSecond);
  const latenciesMs = rounds.flatMap(({ loop }) => loop.latenciesMs);
  const cpuMsPerRequest = (server: string): number =>
    median(rounds.map(({ loop, usage }) => ((usage.cpuSeconds.get(server) ?? NaN) * 1000) / loop.count));
  return [
    side.name,
    median(rates),
    percentile(rates, 0),
    percentile(rates, 1),
    spread(rates),
    cpuMsPerRequest(side.server),
    cpuMsPerRequest('PostgreSQL'),
    percentile(latenciesMs, 0.5),
    percentile(latenciesMs, 0.99),
    latenciesMs.length,
  ];
}

const ratiosOf = (pairs: readonly Pair[]): number[] =>
  pairs.map(({ ours, bare }) => ours.loop.ratePerSecond / bare.loop.ratePerSecond);

function toHeadline(pairs: readonly Pair[]): Headline {
  return {
    row: 3,
    figure: 'refreshes a second ÷ those of a bare Fastify route with one UPDATE through pg',
    value: median(ratiosOf(pairs)),
    unit: 'ratio',
    target: 0.75,
    better: 'higher',
    sides: {
      'bare route, requests/s': median(pairs.map(({ bare }) => bare.loop.ratePerSecond)),
      'infraSignal, refreshes/s': median(pairs.map(({ ours }) => ours.loop.ratePerSecond)),
    },
  };
}

function tabulateRatio(pairs: readonly Pair[]): Table {
  const ratios = ratiosOf(pairs);
  return {
    title: 'auth-service ÷ bare route, of neighbouring rounds',
    columns: ['median', 'min', 'max', 'spread'].map((name) => ({ name, digits: 3 })),
    rows: [[median(ratios), percentile(ratios, 0), percentile(ratios, 1), spread(ratios)]],
  };
}

export const refresh: BenchScenario = {
  name: 'refresh',
  description: 'refreshes a second, beside a bare Fastify route with one UPDATE',
  options: [
    `--seconds (${SECONDS_DEFAULT}, all rounds together) --rounds (${ROUNDS_DEFAULT}, of each side)`,
    `--concurrency (${CONCURRENCY_DEFAULT}) --sessions (${SESSIONS_DEFAULT}) --hashes (cheap) --profile`,
  ],
  run,
};
