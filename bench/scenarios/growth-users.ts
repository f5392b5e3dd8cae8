import { startBenchStack, HASH_SETTINGS, type BenchStack } from '../bench-stack.ts';
import { openClients, readTokens, type AccountClient } from '../load/account-client.ts';
import { runClosedLoop, type LoopResult } from '../load/closed-loop.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, percentile, spread } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';
import { RefreshTokens } from '../../services/auth-service/src/features/sessions/refresh-token.ts';

const SIZES = [1_000, 1_000_000] as const;
const ROUNDS_DEFAULT = 5;
const SECONDS_DEFAULT = 60;
const CONCURRENCY_DEFAULT = 8;

/** Not measured, of each kind of request and size. */
const WARM_UP_SECONDS = 2;

/** More than are refreshed in a run: at a million users each is one that was not touched before. */
const REFRESHED_SESSIONS_MAX = 50_000;

/** Users with a hash as in production, spread over all: so many that none logs in twice at once. */
const PRODUCTION_USERS = 500;

/** From one user to the next: coprime to the sizes, so that everybody has a turn, and neighbours are far apart. */
const STRIDE = 7_919;

/** Of services of this scenario only: it makes refresh tokens for sessions that SQL has opened. */
const SECRET_KEY = 'only for benchmarks, and long enough: 0123456789';

const COST_GROWTH_MAX = 1.3;

const KINDS = ['login', 'refresh', 'login, production hash'] as const;
type Kind = (typeof KINDS)[number];

interface Round {
  readonly kind: Kind;
  readonly loop: LoopResult;
  readonly usage: Usage;
}

/** One size of the system: servers of its own, so that what one size does to a database is not the other's cost. */
interface Side {
  readonly users: number;
  readonly bench: BenchStack;
  readonly servers: WatchedServer[];
  readonly rounds: Round[];
  clients: readonly AccountClient[];
  /** Which user logs in next. */
  turn: number;
  /** Refresh tokens that are good, for each worker those of its own sessions. */
  readonly tokens: string[][];
}

/** What SQL writes in place of a million registrations. Each session is of a user that is there, so nothing checks it. */
async function fillDatabase({ bench, users }: Side): Promise<void> {
  const { database } = bench.stack;
  await database.query(`
    set session_replication_role = replica;
    insert into users (phone_number_e164, phone_number, password_hash, last_login_at)
    select '+33610' || lpad(at::text, 6, '0'), '0610' || lpad(at::text, 6, '0'), sample.password_hash, now()
    from generate_series(0, ${users - 1}) as at, (select password_hash from users limit 1) as sample;
    insert into sessions (id, user_id, idle_expires_at, expires_at, user_agent, address_prefix)
    select gen_random_uuid(), id, now() + interval '7 days', now() + interval '30 days', 'bench', '192.0.2.0'
    from users;
    set session_replication_role = default`);
  await database.query('vacuum analyze');
  await database.query('checkpoint');
}

const toNumber = (at: number): string => `+33610${String(at).padStart(6, '0')}`;

async function createSide(context: BenchContext, users: number, concurrency: number): Promise<Side> {
  const { t, progress } = context;
  const bench = await startBenchStack(context, { hashes: 'cheap', authEnv: { SECRET_KEY } });
  const [first] = await openClients(t, bench.authUrls, 1);
  await first?.register('+33730000000'); // its hash is everybody's
  const servers = bench.servers.map((server) => ({ ...server, name: `${server.name} (${users} users)` }));
  const side: Side = { users, bench, servers, clients: [], rounds: [], turn: 0, tokens: [] };
  const startedAt = performance.now();
  await fillDatabase(side);
  progress(`${users} users with a session each, in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  const refreshTokens = new RefreshTokens([SECRET_KEY]);
  const sessions = await bench.stack.database.query<{ id: string }>(
    'select id from sessions tablesample bernoulli ($1) order by random()',
    [Math.min(100, (REFRESHED_SESSIONS_MAX / users) * 100)],
  );
  for (let worker = 0; worker < concurrency; worker += 1) {
    const own = sessions.filter((_, at) => at % concurrency === worker);
    side.tokens.push(own.map(({ id }) => refreshTokens.encode({ sessionId: id, counter: 0 })));
  }
  return side;
}

async function logIn(side: Side, worker: number, among: number): Promise<void> {
  side.turn = (side.turn + STRIDE) % among;
  await side.clients[worker]?.logIn(toNumber(side.turn * (side.users / among)));
}

/** Each session in turn with its newest token, so that every request is a real rotation. */
async function refresh({ clients, tokens }: Side, worker: number): Promise<void> {
  const own = tokens[worker] ?? [];
  const token = own.shift() ?? '';
  const answer = await clients[worker]?.refresh(token);
  if (answer === undefined) throw new RangeError(`no worker ${worker}`);
  own.push(readTokens(answer).refresh);
}

async function measure(side: Side, kind: Kind, seconds: number): Promise<void> {
  const { clients, rounds, servers, users } = side;
  const among = kind === 'login, production hash' ? Math.min(PRODUCTION_USERS, users) : users;
  const perform = (worker: number): Promise<void> =>
    kind === 'refresh' ? refresh(side, worker) : logIn(side, worker, among);
  const stopWatch = watchServers(servers);
  const loop = await runClosedLoop(clients.length, seconds, perform);
  rounds.push({ kind, loop, usage: stopWatch() });
}

/** Some users, spread over the table, get a hash as in production, which costs what it does there. */
async function switchToProductionHashes({ t }: BenchContext, side: Side): Promise<void> {
  const { database, auth } = side.bench.stack;
  await auth.restart(HASH_SETTINGS.production);
  const [first] = await openClients(t, side.bench.authUrls, 1);
  await first?.register('+33730000001');
  const step = side.users / Math.min(PRODUCTION_USERS, side.users);
  await database.query(
    `update users set password_hash = sample.password_hash
     from (select password_hash from users where phone_number_e164 = '+33730000001') as sample
     where phone_number_e164 = any($1)`,
    [Array.from({ length: Math.min(PRODUCTION_USERS, side.users) }, (_, at) => toNumber(at * step))],
  );
  const at = side.servers.findIndex(({ name }) => name.startsWith('auth-service'));
  side.servers[at] = { name: side.servers[at]?.name ?? '', pid: auth.pid, hasChildren: false };
}

async function measureKind(context: BenchContext, sides: readonly Side[], kind: Kind, plan: Plan): Promise<void> {
  const { t, progress } = context;
  for (const side of sides) {
    // Anew for each kind: the service hangs up on those who say nothing for a minute.
    for (const { connection } of side.clients) connection.close();
    side.clients = await openClients(t, side.bench.authUrls, plan.concurrency);
    await measure(side, kind, WARM_UP_SECONDS);
    side.rounds.pop();
  }
  for (let round = 0; round < plan.rounds; round += 1) {
    const inOrder = round % 2 === 0 ? sides : [...sides].reverse();
    for (const side of inOrder) await measure(side, kind, plan.roundSeconds);
  }
  const costs = sides.map((side) => `${median(costsOf(side, kind)).toFixed(3)} ms of ${side.users} users`);
  progress(`CPU per ${kind}: ${costs.join(', ')}`);
}

interface Plan {
  readonly concurrency: number;
  readonly rounds: number;
  readonly roundSeconds: number;
}

function cpuMsOf({ loop, usage }: Round, server: string): number {
  const [, seconds = NaN] = [...usage.cpuSeconds].find(([name]) => name.startsWith(server)) ?? [];
  return (seconds * 1_000) / loop.count;
}

/** CPU milliseconds of auth-service and PostgreSQL for one request, in each round. */
function costsOf({ rounds }: Side, kind: Kind): number[] {
  const own = rounds.filter((round) => round.kind === kind);
  return own.map((round) => cpuMsOf(round, 'auth-service') + cpuMsOf(round, 'PostgreSQL'));
}

function tabulate(sides: readonly Side[]): Table {
  const rows = KINDS.flatMap((kind) =>
    sides.map((side): Cell[] => {
      const rounds = side.rounds.filter((round) => round.kind === kind);
      const latenciesMs = rounds.flatMap(({ loop }) => loop.latenciesMs);
      const cpu = (server: string): number => median(rounds.map((round) => cpuMsOf(round, server)));
      return [kind, side.users, median(costsOf(side, kind)), spread(costsOf(side, kind)), cpu('auth-service'),
        cpu('PostgreSQL'), median(rounds.map(({ loop }) => loop.ratePerSecond)), percentile(latenciesMs, 0.5),
        percentile(latenciesMs, 0.99), latenciesMs.length];
    }),
  );
  return {
    title: 'What one request costs, by how many users there are',
    columns: [
      { name: 'request' },
      { name: 'users' },
      ...['CPU ms/request', 'spread', 'auth-service', 'PostgreSQL'].map((name) => ({ name, digits: 3 })),
      { name: 'requests/s' },
      ...['p50 ms', 'p99 ms'].map((name) => ({ name, digits: 2 })),
      { name: 'requests' },
    ],
    rows,
  };
}

function toHeadline([few, many]: readonly Side[], kind: Kind): Headline {
  const ratios = few === undefined || many === undefined ? [] :
    costsOf(few, kind).map((cost, round) => (costsOf(many, kind)[round] ?? NaN) / cost);
  const toSide = (side: Side | undefined): number => (side === undefined ? NaN : median(costsOf(side, kind)));
  return {
    row: 12,
    figure: `cost per ${kind}, 1,000,000 users ÷ 1,000`,
    value: median(ratios),
    unit: 'ratio',
    target: COST_GROWTH_MAX,
    better: 'lower',
    sides: { '1,000 users, CPU ms': toSide(few), '1,000,000 users, CPU ms': toSide(many) },
  };
}

/** How much there is to look through, table by table with its indexes. */
async function readSizes({ bench, users }: Side): Promise<[name: string, sizes: string]> {
  const [row] = await bench.stack.database.query<{ users: string; sessions: string; buffers: string }>(
    `select pg_size_pretty(pg_total_relation_size('users')) as users,
       pg_size_pretty(pg_total_relation_size('sessions')) as sessions, current_setting('shared_buffers') as buffers`,
  );
  return [`size_of_${users}_users`, `users ${row?.users}, sessions ${row?.sessions}, shared_buffers ${row?.buffers}`];
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, concurrency = CONCURRENCY_DEFAULT } = options;
  const sides: Side[] = [];
  for (const users of SIZES) sides.push(await createSide(context, users, concurrency));
  const plan = { concurrency, rounds, roundSeconds: seconds / rounds / SIZES.length / KINDS.length };
  for (const kind of KINDS) {
    if (kind === 'login, production hash') for (const side of sides) await switchToProductionHashes(context, side);
    await measureKind(context, sides, kind, plan);
  }
  const notes = sides.flatMap((side) => describeUsage(side.servers, side.rounds.map(({ usage }) => usage)).notes);
  const sizes = await Promise.all(sides.map(readSizes));
  return {
    headlines: KINDS.map((kind) => toHeadline(sides, kind)),
    tables: [tabulate(sides)],
    conditions: {
      ...sides[0]?.bench.conditions,
      ...Object.fromEntries(sizes),
      rounds_of_each: rounds,
      seconds_of_each_round: plan.roundSeconds,
      concurrency,
    },
    notes: [
      ...new Set(notes),
      'CPU of auth-service and PostgreSQL, the relay’s and the background writers’ included, by what the kernel says. ' +
        'Each size has servers of its own. The users and sessions were written by SQL; logins and refreshes go through ' +
        'all of them (a sample of sessions), so that no row is touched twice at a million.',
    ],
    problems: [],
  };
}

export const growthUsers: BenchScenario = {
  name: 'growth-users',
  description: 'what a login and a refresh cost with 1,000 users and with 1,000,000',
  options: [
    `--seconds (${SECONDS_DEFAULT}, all rounds together) --rounds (${ROUNDS_DEFAULT})`,
    `--concurrency (${CONCURRENCY_DEFAULT})`,
  ],
  run,
};
