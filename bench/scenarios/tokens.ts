import { startServiceProcess, type ServiceProcess } from '@infrasignal/testkit';
import type { TokenResponse } from '@infrasignal/shared';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, registerMany, type AccountClient } from '../load/account-client.ts';
import { runClosedLoop } from '../load/closed-loop.ts';
import type { HttpAnswer } from '../load/http-connection.ts';
import { ServiceProfiler } from '../profile/service-profiler.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
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
} from '../side-by-side.ts';
import { median } from '../statistics.ts';

const SECONDS_DEFAULT = 75;
const ROUNDS_DEFAULT = 5;
const CONCURRENCY_DEFAULT = 8;
const SESSIONS_DEFAULT = 200;
const WARM_UP_SECONDS = 4;

/** Of both servers: what auth-service has by default. */
const POOL_MAX = '10';

const BARE = 'bare Fastify';

interface Scene {
  readonly context: BenchContext;
  readonly bench: BenchStack;
  readonly bare: ServiceProcess;
  readonly sessions: readonly TokenResponse[];
  readonly concurrency: number;
}

/** @param isRight whether an answer of status 200 is about that session */
async function createSide(
  { context, sessions, concurrency }: Scene,
  { name, server, urls }: { name: string; server: string; urls: readonly string[] },
  ask: (client: AccountClient, session: TokenResponse) => Promise<HttpAnswer>,
  isRight: (answer: unknown, session: TokenResponse) => boolean,
): Promise<Side> {
  const clients = await openClients(context.t, urls, concurrency);
  let next = 0;
  const perform = async (worker: number): Promise<void> => {
    const session = sessions[next++ % sessions.length];
    const client = clients[worker];
    if (session === undefined || client === undefined) throw new RangeError(`no worker ${worker}`);
    const { status, body } = await ask(client, session);
    if (status !== 200 || !isRight(JSON.parse(body), session)) {
      throw new Error(`${name}: answered ${status}: ${body.slice(0, 300)}`);
    }
  };
  return { name, servers: [server], load: (seconds) => runClosedLoop(concurrency, seconds, perform) };
}

const isEmpty = (answer: unknown): boolean => JSON.stringify(answer) === '{}';
const isAbout = (answer: unknown, { user_id: userId }: TokenResponse): boolean =>
  (answer as { user_id?: unknown }).user_id === userId;

async function createSides(scene: Scene, profiler: ServiceProfiler | null) {
  const bareAt = (name: string) => ({ name: `${BARE}: ${name}`, server: BARE, urls: [scene.bare.url] });
  const urls = scene.bench.authUrls;
  const oursAt = (name: string) => ({ name: `infraSignal: ${name}`, server: 'auth-service', urls });
  const profiled = (side: Side): Side => ({
    ...side,
    ...(profiler === null
      ? {}
      : {
          around: async (measure) => {
            await profiler.start(scene.bench.stack.auth);
            const round = await measure();
            await profiler.stop();
            return round;
          },
        }),
  });
  return {
    bareVerify: await createSide(
      scene,
      bareAt('one EdDSA verification'),
      (client, { access }) => client.connection.post('/verify', { token: access }),
      isEmpty,
    ),
    bareVerifyAndSelect: await createSide(
      scene,
      bareAt('one EdDSA verification and one SELECT'),
      (client, { access }) => client.connection.post('/verify-and-select', { token: access }),
      isEmpty,
    ),
    verify: profiled(
      await createSide(scene, oursAt('token/verify'), (client, { access }) => client.verify(access), isEmpty),
    ),
    bareMe: await createSide(
      scene,
      bareAt('the same and a row'),
      (client, { access }) => client.connection.get('/me', access),
      isAbout,
    ),
    me: profiled(
      await createSide(scene, oursAt('me'), (client, { access }) => client.readMe(access), isAbout),
    ),
  };
}

type Sides = Awaited<ReturnType<typeof createSides>>;

function toHeadlines(comparison: Comparison, { bareVerify, verify, bareMe, me }: Sides): Headline[] {
  const toHeadline = (figure: string, ours: Side, bare: Side): Headline => ({
    row: 4,
    figure,
    value: median(ratiosOf(comparison, ours, bare)),
    unit: 'ratio',
    target: 0.8,
    better: 'higher',
    sides: Object.fromEntries(
      [bare, ours].map((side) => [`${side.name}, requests/s`, rateOf(comparison, side)] as const),
    ),
  });
  return [
    toHeadline('token/verify ÷ bare Fastify with one EdDSA verification', verify, bareVerify),
    toHeadline('me ÷ bare Fastify with one EdDSA verification and one SELECT', me, bareMe),
  ];
}

async function startBare({ t }: BenchContext, { stack }: BenchStack): Promise<ServiceProcess> {
  return startServiceProcess(t, {
    entry: new URL('../peers/bare-verify-server.ts', import.meta.url),
    env: {
      DATABASE_URL: stack.database.url,
      DATABASE_POOL_MAX: POOL_MAX,
      JWKS_URL: `${stack.auth.url}/.well-known/jwks.json`,
    },
  });
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, concurrency = CONCURRENCY_DEFAULT } = options;
  const sessionCount = options.sessions ?? SESSIONS_DEFAULT;
  const profiler = options.isProfiled ? new ServiceProfiler() : null;
  const authEnv = { DATABASE_POOL_MAX: POOL_MAX, ...profiler?.environment };
  const bench = await startBenchStack(context, { hashes: 'cheap', authEnv });
  const sessions = await registerMany(t, bench.authUrls, sessionCount);
  await bench.stack.database.query('vacuum analyze');
  progress(`${sessions.length} sessions open`);
  const bare = await startBare(context, bench);
  const sides = await createSides({ context, bench, bare, sessions, concurrency }, profiler);
  const watched: WatchedServer = { name: BARE, pid: bare.pid, hasChildren: false };
  const servers = [...bench.servers, watched];
  const order = Object.values(sides);
  const roundSeconds = seconds / rounds / order.length;
  const comparison = await compareSides(context, {
    sides: order,
    servers,
    rounds,
    roundSeconds,
    warmUpSeconds: WARM_UP_SECONDS,
  });
  const usage = describeUsage(servers, comparison.usages);
  const { bareVerify, bareVerifyAndSelect, verify, bareMe, me } = sides;
  return {
    headlines: toHeadlines(comparison, sides),
    tables: [
      tabulateSides('Asking about a token, and reading one’s account, beside bare routes', comparison),
      tabulateRatios(comparison, [[verify, bareVerify], [verify, bareVerifyAndSelect], [me, bareMe]]),
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
      ...comparisonNotes,
      'The bare routes look at no claim, so that they would take an expired token, or one of a session that has ended.',
    ],
    problems: await checkRefusal(sessions, bench, context),
  };
}

/** Fast because nothing is looked at any more? A token of a session that ended is refused by both routes. */
async function checkRefusal(
  [session]: readonly TokenResponse[],
  { authUrls }: BenchStack,
  { t }: BenchContext,
): Promise<string[]> {
  const [client] = await openClients(t, authUrls, 1);
  if (session === undefined || client === undefined) return ['there was no session'];
  await client.logOut(session.refresh);
  const answers = [await client.verify(session.access), await client.readMe(session.access)];
  return answers
    .filter(({ status }) => status !== 401)
    .map(({ status }) => `a token of a session that had ended was answered ${status}`);
}

export const tokens: BenchScenario = {
  name: 'tokens',
  description: 'token/verify and me, beside bare Fastify with one EdDSA verification, and with one SELECT',
  options: [
    `--seconds (${SECONDS_DEFAULT}, all rounds together) --rounds (${ROUNDS_DEFAULT}, of each side)`,
    `--concurrency (${CONCURRENCY_DEFAULT}) --sessions (${SESSIONS_DEFAULT}) --hashes (cheap) --profile`,
  ],
  run,
};
