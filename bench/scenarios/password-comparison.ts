/** What logins and registrations are compared with, and how: the hasher alone, and better-auth with the same hasher. */
import { availableParallelism } from 'node:os';
import { startServiceProcess, waitFor, type ServiceProcess } from '@infrasignal/testkit';
import { HASH_SETTINGS, startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients } from '../load/account-client.ts';
import { runClosedLoop, type LoopResult } from '../load/closed-loop.ts';
import { HttpConnection } from '../load/http-connection.ts';
import { ServiceProfiler } from '../profile/service-profiler.ts';
import type { BenchContext, BenchResult, Headline } from '../scenario.ts';
import { describeUsage, type WatchedServer } from '../server-watch.ts';
import {
  compareSides,
  comparisonNotes,
  rateOf,
  ratiosOf,
  tabulateRatios,
  tabulateSides,
  type Comparison,
  type Side,
  type SideRound,
} from '../side-by-side.ts';
import { median } from '../statistics.ts';

const SECONDS_DEFAULT = 75;
const ROUNDS_DEFAULT = 5;
const CONCURRENCY_DEFAULT = 8;

/** What both scenarios heed, as lines for `--help`. */
export const passwordOptions = [
  `--seconds (${SECONDS_DEFAULT}, all rounds together) --rounds (${ROUNDS_DEFAULT}, of each side)`,
  `--concurrency (${CONCURRENCY_DEFAULT}) --hashes (production) --profile`,
];

const HASHES_DEFAULT = 'production';

/** At a hundred requests a second the compiler takes its time. */
const WARM_UP_SECONDS = 6;

/** Of both servers: what auth-service has by default. */
const POOL_MAX = '10';

/** Of all processes that hash: Node's default, which auth-service leaves two threads of free. */
const THREADS = '4';

/** As auth-service has it by default; the hasher alone must not be scheduled otherwise beside what else runs here. */
const HASH_NICENESS = '10';

/** One of the two things that cost a hash. */
export interface PasswordScene {
  readonly context: BenchContext;
  readonly bench: BenchStack;
  readonly concurrency: number;
}

/** What a request does, and what it left behind in the end. */
export interface RequestSide {
  /** Performs one request of that worker. @throws Error unless it succeeded */
  readonly perform: (worker: number) => Promise<void>;
  /** After the run: what is not as the answers said. */
  readonly check: () => Promise<string[]>;
}

export interface PasswordComparison {
  readonly headline: Pick<Headline, 'row' | 'figure' | 'target'>;
  /** What the hasher alone does: `verify` or `hash`. */
  readonly work: 'verify' | 'hash';
  /** For instance `logins`. */
  readonly plural: string;
  readonly createOurs: (scene: PasswordScene) => Promise<RequestSide>;
  /** @param peerUrl where better-auth listens */
  readonly createBetterAuth: (scene: PasswordScene, peerUrl: string) => Promise<RequestSide>;
}

/** What was registered and logged in must be in the stream by then, however busy the machine was. */
const RELAY_TIMEOUT_MS = 30_000;

interface Peers {
  readonly hasher: ServiceProcess;
  readonly betterAuth: ServiceProcess;
  readonly watched: readonly WatchedServer[];
}

const PEER_DATABASE = 'better_auth';

/** better-auth has a database of its own on the same server, and as many connections. */
async function startPeers({ t, options }: BenchContext, { stack }: BenchStack): Promise<Peers> {
  const hashSettings = HASH_SETTINGS[options.hashes ?? HASHES_DEFAULT];
  const hasher = await startServiceProcess(t, {
    entry: new URL('../peers/bare-hasher.ts', import.meta.url),
    env: {
      ...hashSettings,
      HASH_NICENESS,
      HASHES_AT_ONCE: String(availableParallelism()),
      UV_THREADPOOL_SIZE: THREADS,
    },
  });
  await stack.database.query(`create database ${PEER_DATABASE}`);
  const url = new URL(stack.database.url);
  url.pathname = PEER_DATABASE;
  const betterAuth = await startServiceProcess(t, {
    entry: new URL('../peers/better-auth-server.ts', import.meta.url),
    env: {
      ...hashSettings,
      NODE_ENV: 'production',
      UV_THREADPOOL_SIZE: THREADS,
      DATABASE_URL: url.href,
      DATABASE_POOL_MAX: POOL_MAX,
    },
    readyPath: '/api/auth/ok',
  });
  return {
    hasher,
    betterAuth,
    watched: [
      { name: 'bare hasher', pid: hasher.pid, hasChildren: false },
      { name: 'better-auth', pid: betterAuth.pid, hasChildren: false },
    ],
  };
}

/** The hasher counts for itself: a request per hash would be something that it has to do besides. */
async function createHasherSide({ t }: BenchContext, { hasher }: Peers, work: 'verify' | 'hash'): Promise<Side> {
  const connection = await HttpConnection.open(hasher.url);
  t.teardown(() => {
    connection.close();
  });
  return {
    name: 'bare hasher',
    servers: ['bare hasher'],
    load: async (seconds): Promise<LoopResult> => {
      const { status, body } = await connection.post(`/${work}`, { seconds });
      if (status !== 200) throw new Error(`the bare hasher answered ${status}: ${body}`);
      const done = JSON.parse(body) as { count: number; seconds: number };
      return { ...done, latenciesMs: [], ratePerSecond: done.count / done.seconds };
    },
  };
}

function toSide(name: string, { perform }: RequestSide, concurrency: number): Side {
  const server = name === 'infraSignal' ? 'auth-service' : name;
  return { name, servers: [server], load: (seconds) => runClosedLoop(concurrency, seconds, perform) };
}

async function measureProfiled(
  profiler: ServiceProfiler,
  service: ServiceProcess,
  measure: () => Promise<SideRound>,
): Promise<SideRound> {
  await profiler.start(service);
  const round = await measure();
  await profiler.stop();
  return round;
}

/** Runs one of them: the hasher alone, better-auth and auth-service by turns. */
export async function comparePasswords(context: BenchContext, comparing: PasswordComparison): Promise<BenchResult> {
  const { options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, concurrency = CONCURRENCY_DEFAULT } = options;
  const profiler = options.isProfiled ? new ServiceProfiler() : null;
  const bench = await startBenchStack(context, {
    hashes: HASHES_DEFAULT,
    authEnv: { DATABASE_POOL_MAX: POOL_MAX, UV_THREADPOOL_SIZE: THREADS, HASH_NICENESS, ...profiler?.environment },
  });
  const peers = await startPeers(context, bench);
  const scene: PasswordScene = { context, bench, concurrency };
  const [oursRequests, peerRequests] = [
    await comparing.createOurs(scene),
    await comparing.createBetterAuth(scene, peers.betterAuth.url),
  ];
  progress('accounts are there');
  const hasher = await createHasherSide(context, peers, comparing.work);
  const peer = toSide('better-auth', peerRequests, concurrency);
  const ours: Side = {
    ...toSide('infraSignal', oursRequests, concurrency),
    ...(profiler === null
      ? {}
      : { around: (measure) => measureProfiled(profiler, bench.stack.auth, measure) }),
  };
  const sides = [hasher, peer, ours];
  const servers = [...bench.servers, ...peers.watched];
  const roundSeconds = seconds / rounds / sides.length;
  const warmUpSeconds = WARM_UP_SECONDS;
  const comparison = await compareSides(context, { sides, servers, rounds, roundSeconds, warmUpSeconds });
  const usage = describeUsage(servers, comparison.usages);
  return {
    headlines: [toHeadline(comparing, comparison)],
    tables: [
      tabulateSides(`${comparing.plural} beside the hasher alone, in rounds by turns`, comparison),
      tabulateRatios(comparison, [[ours, hasher], [peer, hasher], [ours, peer]]),
      usage.table,
      ...(profiler?.tabulate() ?? []),
    ],
    conditions: {
      ...bench.conditions,
      seconds_of_each_round: roundSeconds,
      rounds_of_each_side: rounds,
      concurrency,
      pool_of_each_server: POOL_MAX,
      threads_of_each_hashing_process: THREADS,
      hashes_at_once_of_the_bare_hasher: availableParallelism(),
    },
    notes: [
      ...usage.notes,
      ...comparisonNotes,
      'better-auth: e-mail address and password, its tables in a database of its own on the same server, no limits.',
    ],
    problems: [...(await oursRequests.check()), ...(await peerRequests.check())],
  };
}

/** @param comparison of the hasher alone, better-auth and auth-service, in this order */
function toHeadline({ headline, work, plural }: PasswordComparison, comparison: Comparison): Headline {
  const [hasher, peer, ours] = comparison.sides;
  if (hasher === undefined || peer === undefined || ours === undefined) throw new RangeError('a side is missing');
  return {
    ...headline,
    value: median(ratiosOf(comparison, ours, hasher)),
    unit: 'ratio',
    better: 'higher',
    sides: {
      [`bare hasher, ${work === 'verify' ? 'verifications' : 'hashes'}/s`]: rateOf(comparison, hasher),
      [`infraSignal, ${plural}/s`]: rateOf(comparison, ours),
      [`better-auth with the same hasher, ${plural}/s`]: rateOf(comparison, peer),
    },
  };
}

/** Each registration and login has one session and one event, and every event reached the stream. */
export async function checkEvents({ stack }: BenchStack, expected: number): Promise<string[]> {
  const read = async () => {
    const [row] = await stack.database.query<{ sessions: number; events: number; unpublished: number }>(
      `select (select count(*)::int from sessions) as sessions, count(*)::int as events,
        (count(*) filter (where published_at is null))::int as unpublished from outbox`,
    );
    return row ?? { sessions: 0, events: 0, unpublished: NaN };
  };
  const waiting = { timeoutMs: RELAY_TIMEOUT_MS, description: 'an empty outbox' };
  await waitFor(async () => (await read()).unpublished === 0, waiting);
  const { sessions, events } = await read();
  return sessions === expected && events === expected
    ? []
    : [`infraSignal: ${expected} answers, but ${sessions} sessions and ${events} events in the database`];
}

/** Connections to better-auth, one per worker. */
export async function openPeerConnections(
  { context, concurrency }: PasswordScene,
  peerUrl: string,
): Promise<HttpConnection[]> {
  const clients = await openClients(context.t, [peerUrl], concurrency);
  return clients.map(({ connection }) => connection);
}

/** A request to better-auth. @throws Error unless it succeeded and is about that address */
export async function askBetterAuth(
  connection: HttpConnection | undefined,
  path: 'sign-in/email' | 'sign-up/email',
  body: { readonly email: string; readonly password: string; readonly name?: string },
): Promise<void> {
  if (connection === undefined) throw new RangeError('no such worker');
  const answer = await connection.post(`/api/auth/${path}`, body);
  if (answer.status !== 200) throw new Error(`better-auth answered ${answer.status}: ${answer.body.slice(0, 300)}`);
  const { token, user } = JSON.parse(answer.body) as { token?: string; user?: { email: string } };
  if (!token || user?.email !== body.email) throw new Error(`better-auth answered ${answer.body.slice(0, 300)}`);
}

export function toEmail(at: number): string {
  return `user${at}@example.com`;
}
