import type { TestStack } from '@infrasignal/testkit';
import type { AccountClient } from '../load/account-client.ts';
import { toColumns, type Cell, type Table } from '../table.ts';

export interface RaceSession {
  readonly id: string;
  readonly userId: number;
  /** Every refresh token of the session that anybody was given, the oldest first. */
  readonly tokens: Set<string>;
}

/** What was sent to a group of sessions, each of a user of its own, and what came back. */
export interface Race {
  readonly title: string;
  readonly sessions: readonly RaceSession[];
  refreshes: number;
  replays: number;
  logouts: number;
  /** How many chains each session must have afterwards: 1, or 0 when it was ended; then it was told of exactly once. */
  readonly liveExpected: 0 | 1;
  readonly statuses: Map<number, number>;
}

export interface RaceVerdict {
  readonly race: Race;
  readonly liveChains: number;
  readonly liveRows: number;
  readonly revocations: number;
  /** Sessions of which any of the three is not as it must be. */
  readonly wrongSessions: number;
  readonly problems: readonly string[];
}

interface SessionRow extends Record<string, unknown> {
  readonly id: string;
  readonly isLive: boolean;
  readonly revocations: number;
}

/**
 * Looks at each session from three sides: its tokens, its row, its events. To be called when the grace of every token
 * is over, because within it a replaced token is accepted as well and starts no chain.
 */
export async function judgeRace(race: Race, clients: readonly AccountClient[], stack: TestStack): Promise<RaceVerdict> {
  const rows = new Map((await readRows(race, stack)).map((row) => [row.id, row]));
  const chains = await countChains(race.sessions, clients);
  const states = race.sessions.map(({ id }) => ({
    chains: chains.get(id) ?? NaN,
    rows: Number(rows.get(id)?.isLive ?? NaN),
    revocations: rows.get(id)?.revocations ?? NaN,
  }));
  const { liveExpected, statuses, title } = race;
  const wrongSessions = states.filter(
    (state) =>
      state.chains !== liveExpected || state.rows !== liveExpected || state.revocations !== 1 - liveExpected,
  ).length;
  const strange = [...statuses].filter(([status]) => ![200, 204, 401].includes(status));
  const refused = liveExpected === 1 ? (statuses.get(401) ?? 0) : 0;
  const rotated = race.refreshes === 0 ? (statuses.get(200) ?? 0) : 0;
  return {
    race,
    liveChains: states.reduce((sum, state) => sum + state.chains, 0),
    liveRows: states.reduce((sum, state) => sum + state.rows, 0),
    revocations: states.reduce((sum, state) => sum + state.revocations, 0),
    wrongSessions,
    problems: [
      ...(wrongSessions > 0 ? [`${title}: ${wrongSessions} sessions have not exactly ${liveExpected} live chain`] : []),
      ...(refused > 0 ? [`${title}: ${refused} refreshes were refused, all had to be answered`] : []),
      ...(rotated > 0 ? [`${title}: ${rotated} replays were answered, all had to be refused`] : []),
      ...strange.map(([status, count]) => `${title}: ${count} answers ${status}`),
    ],
  };
}

function readRows({ sessions }: Race, { database }: TestStack): Promise<SessionRow[]> {
  return database.query<SessionRow>(
    `select s.id, s.revoked_at is null and s.idle_expires_at > now() and s.expires_at > now() as "isLive",
       (select count(*) from outbox o where o.user_id = s.user_id and o.type = 'session.revoked')::int as revocations
     from sessions s where s.id = any($1::uuid[])`,
    [sessions.map(({ id }) => id)],
  );
}

/** How many of a session's tokens are accepted now, by `token/verify`, which changes nothing. */
async function countChains(
  sessions: readonly RaceSession[],
  clients: readonly AccountClient[],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const waiting = sessions.flatMap(({ id, tokens }) => [...tokens].map((token) => ({ id, token })));
  await Promise.all(
    clients.map(async (client) => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const { status } = await client.verify(next.token);
        if (status !== 200 && status !== 401) throw new Error(`a token's verification was answered ${status}`);
        counts.set(next.id, (counts.get(next.id) ?? 0) + (status === 200 ? 1 : 0));
      }
    }),
  );
  return counts;
}

export function tabulateRaces(verdicts: readonly RaceVerdict[]): Table {
  const columns = toColumns(
    'race',
    'sessions',
    'refreshes',
    'replays',
    'logouts',
    '200',
    '204',
    '401',
    'other',
    'live chains',
    'must be',
    'live rows',
    'revocations',
    'wrong sessions',
  );
  return { title: 'Races, and what they left', columns, rows: verdicts.map(toRow) };
}

function toRow({ race, liveChains, liveRows, revocations, wrongSessions }: RaceVerdict): Cell[] {
  const { title, sessions, refreshes, replays, logouts, statuses, liveExpected } = race;
  const [rotated, ended, refused] = [200, 204, 401].map((status) => statuses.get(status) ?? 0);
  const answers = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  return [
    title,
    sessions.length,
    refreshes,
    replays,
    logouts,
    rotated ?? 0,
    ended ?? 0,
    refused ?? 0,
    answers - (rotated ?? 0) - (ended ?? 0) - (refused ?? 0),
    liveChains,
    sessions.length * liveExpected,
    liveRows,
    revocations,
    wrongSessions,
  ];
}
