import type { TokenResponse } from '@infrasignal/shared';
import { waitFor, type TestStack } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBenchStack } from '../bench-stack.ts';
import { openClients, readTokens, registerMany, type AccountClient } from '../load/account-client.ts';
import type { HttpAnswer } from '../load/http-connection.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers } from '../server-watch.ts';
import { judgeRace, tabulateRaces, type Race, type RaceSession, type RaceVerdict } from './refresh-races-verdict.ts';

/** Sessions whose one token is refreshed by many at once. */
const SESSIONS_DEFAULT = 100;

/** How many. */
const CONCURRENCY_DEFAULT = 20;

/** Races with a logout, of each kind. */
const ROUNDS_DEFAULT = 200;

/** Both instances decide about the same rows, and neither knows of the other. */
const AUTH_INSTANCES = 2;

/** REFRESH_GRACE_SECONDS of the sessions: docs/protocol/http.md. */
const GRACE_SECONDS = 10;

/** Requests of a round leave within this time of each other, in any order; the rounds go through the list in turn. */
const APART_MAX_MS = [0, 2, 10, 50];

/** The tabs that refresh while a logout is under way, each of them twice. */
const TABS = 4;

/** What one client does in a race. @returns every answer that it got */
type Action = (client: AccountClient) => Promise<readonly HttpAnswer[]>;

/** Lets each action begin on a connection of its own, at random moments close together. */
async function collide(
  clients: readonly AccountClient[],
  actions: readonly Action[],
  apartMaxMs: number,
): Promise<HttpAnswer[]> {
  const offset = Math.floor(Math.random() * clients.length); // no action is always the same instance's
  const answers = await Promise.all(
    actions.map(async (act, at) => {
      const client = clients[(at + offset) % clients.length];
      if (client === undefined) throw new RangeError('no client');
      if (apartMaxMs > 0) await sleep(Math.random() * apartMaxMs);
      return act(client);
    }),
  );
  return answers.flat();
}

/** One refresh of that token on every connection, one write right after the other. */
function refreshAtOnce(clients: readonly AccountClient[], token: string): Promise<HttpAnswer[]> {
  return Promise.all(clients.map((client) => client.refresh(token)));
}

function startRace(title: string, sessions: readonly RaceSession[], liveExpected: 0 | 1): Race {
  return { title, sessions, liveExpected, refreshes: 0, replays: 0, logouts: 0, statuses: new Map() };
}

function toSession({ user_id: userId, refresh }: TokenResponse): RaceSession {
  return { id: refresh.split('.')[1] ?? '', userId, tokens: new Set([refresh]) };
}

/** Notes what was answered, and every refresh token that was handed out. */
function note(race: Race, session: RaceSession, answers: readonly HttpAnswer[]): void {
  for (const answer of answers) {
    race.statuses.set(answer.status, (race.statuses.get(answer.status) ?? 0) + 1);
    if (answer.status === 200) session.tokens.add(readTokens(answer).refresh);
  }
}

/** Many tabs, or a client that retries: one rotation, one successor for all. */
async function refreshInParallel(clients: readonly AccountClient[], sessions: readonly RaceSession[]): Promise<Race> {
  const race = startRace(`${clients.length} refreshes of one token at once`, sessions, 1);
  for (const session of sessions) {
    const [token = ''] = session.tokens;
    note(race, session, await refreshAtOnce(clients, token));
    race.refreshes += clients.length;
  }
  return race;
}

/** A thief, or a client that lost its memory, at a time when nothing excuses it any more. */
async function replayInParallel(clients: readonly AccountClient[], sessions: readonly RaceSession[]): Promise<Race> {
  const race = startRace(`${clients.length} replays at once, after the grace`, sessions, 0);
  for (const session of sessions) {
    const [token = ''] = session.tokens;
    note(race, session, await refreshAtOnce(clients, token));
    race.replays += clients.length;
  }
  return race;
}

/** A logout while tabs refresh, and refresh what they got: none of them may carry the session past its end. */
async function raceRefreshes(clients: readonly AccountClient[], sessions: readonly RaceSession[]): Promise<Race> {
  const race = startRace(`${TABS} tabs refresh twice against a logout`, sessions, 0);
  for (const [at, session] of sessions.entries()) {
    const [token = ''] = session.tokens;
    const refreshTwice: Action = async (client) => {
      const answer = await client.refresh(token);
      race.refreshes += 1;
      if (answer.status !== 200) return [answer];
      race.refreshes += 1;
      return [answer, await client.refresh(readTokens(answer).refresh)];
    };
    const tabs = Array.from({ length: TABS }, () => refreshTwice);
    const logOut: Action = async (client) => [await client.logOut(token)];
    note(race, session, await collide(clients, [...tabs, logOut], APART_MAX_MS[at % APART_MAX_MS.length] ?? 0));
    race.logouts += 1;
  }
  return race;
}

/** A stolen token comes back while its owner refreshes and logs out. It is two rotations old: no grace is left. */
async function raceReplays(clients: readonly AccountClient[], sessions: readonly RaceSession[]): Promise<Race> {
  const race = startRace('a replay against a logout and a refresh', sessions, 0);
  const [first] = clients;
  if (first === undefined) throw new RangeError('no client');
  for (const [at, session] of sessions.entries()) {
    const [stolen = ''] = session.tokens;
    let newest = stolen;
    for (let rotation = 0; rotation < 2; rotation += 1) {
      newest = readTokens(await first.refresh(newest)).refresh;
      session.tokens.add(newest);
    }
    const actions: Action[] = [
      async (client) => [await client.refresh(stolen)],
      async (client) => [await client.refresh(newest)],
      async (client) => [await client.logOut(newest)],
    ];
    note(race, session, await collide(clients, actions, APART_MAX_MS[at % APART_MAX_MS.length] ?? 0));
    race.replays += 1;
    race.refreshes += 1;
    race.logouts += 1;
  }
  return race;
}

/** Until every token that was replaced has lost its grace: then a token that is still good is a chain of its own. */
async function outlastGrace({ database }: TestStack): Promise<void> {
  const isOver = async (): Promise<boolean> => {
    const [row] = await database.query<{ is_over: boolean }>(
      `select coalesce(max(rotated_at) < clock_timestamp() - make_interval(secs => $1), true) as is_over
       from sessions`,
      [GRACE_SECONDS],
    );
    return row?.is_over === true;
  };
  const timeoutMs = (GRACE_SECONDS + 5) * 1000;
  await waitFor(isOver, { timeoutMs, intervalMs: 200, description: 'the grace of all replaced tokens to be over' });
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, concurrency = CONCURRENCY_DEFAULT } = options;
  const parallel = options.sessions ?? SESSIONS_DEFAULT;
  const { stack, authUrls, servers, conditions } = await startBenchStack(context, {
    hashes: 'cheap',
    authInstances: AUTH_INSTANCES,
  });
  const sessions = (await registerMany(t, authUrls, parallel + 2 * rounds)).map(toSession);
  const clients = await openClients(t, authUrls, concurrency);
  progress(`${sessions.length} sessions open, ${clients.length} connections to ${AUTH_INSTANCES} instances`);
  const shared = sessions.splice(0, parallel);
  const loggedOut = sessions.splice(0, rounds);
  const stopWatch = watchServers(servers);
  const races = [await refreshInParallel(clients, shared)];
  progress('parallel refreshes done');
  races.push(await raceRefreshes(clients, loggedOut));
  progress('refreshes against logouts done');
  races.push(await raceReplays(clients, sessions));
  progress('replays against logouts done; waiting for the grace of the last tokens to end');
  const usage = stopWatch();
  await outlastGrace(stack);
  const verdicts: RaceVerdict[] = [];
  for (const race of races) verdicts.push(await judgeRace(race, clients, stack));
  const replays = await replayInParallel(clients, shared);
  verdicts.push(await judgeRace(replays, clients, stack));
  const { table, notes } = describeUsage(servers, [usage]);
  return {
    tables: [tabulateRaces(verdicts), table],
    conditions: {
      ...conditions,
      rounds,
      sessions: parallel,
      concurrency,
      requests_apart_ms: `up to ${APART_MAX_MS.join(', ')} by turns`,
    },
    notes: [
      ...notes,
      'live chains: of all refresh tokens that were ever handed out, those that are accepted when every grace is ' +
        'over. live rows: what the database says by itself. revocations: events session.revoked of these users.',
    ],
    problems: verdicts.flatMap(({ problems }) => problems),
  };
}

export const refreshRaces: BenchScenario = {
  name: 'refresh-races',
  description: 'parallel refreshes, replays and logouts, and how many live chains they leave',
  options: [
    `--sessions (${SESSIONS_DEFAULT}) --concurrency (${CONCURRENCY_DEFAULT}, refreshes of one token at once)`,
    `--rounds (${ROUNDS_DEFAULT}, races with a logout, of each kind) --hashes (cheap)`,
  ],
  run,
};
