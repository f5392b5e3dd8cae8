import { sql, type SQL } from 'drizzle-orm';
import { advisoryLocks } from '../db/advisory-locks.ts';
import { outbox, outboxRelay } from '../db/schema/index.ts';
import type { Database } from '../plugins/database-plugin.ts';

/** The outbox as an operator sees it, without an instance that runs. */
export interface OutboxStatus {
  /** Events that are committed and not known to be stored by the broker. */
  readonly waiting: number;
  /** Age of the oldest of them in seconds; 0 when there is none. */
  readonly oldestAgeSeconds: number;
  /** The users that wait the longest, with their oldest event. */
  readonly longestWaiting: readonly { readonly userId: number; readonly events: number; readonly ageSeconds: number }[];
  /** Events that are stored, and kept should the broker lose them. */
  readonly kept: number;
  /** Where the instance that publishes is connected from; null when none does. */
  readonly leader: string | null;
  /** When the broker was last found to be another than before; null before the first event. */
  readonly brokerSince: Date | null;
}

/** More users than these tell an operator nothing that their number does not. */
const LONGEST_WAITING_COUNT = 5;

export async function readOutboxStatus(db: Database): Promise<OutboxStatus> {
  const age = sql`extract(epoch from clock_timestamp() - min(created_at))::float8`;
  const [totals, waiting, leader, broker] = await Promise.all([
    db.execute<{ waiting: number; age: number | null; kept: number }>(sql`
      select count(*) filter (where published_at is null)::int as waiting,
        (select ${age} from ${outbox} where published_at is null) as age,
        count(*) filter (where published_at is not null)::int as kept
      from ${outbox}`),
    db.execute<{ userId: number; events: number; ageSeconds: number }>(sql`
      select user_id::float8 as "userId", count(*)::int as events, ${age} as "ageSeconds" from ${outbox}
      where published_at is null group by user_id order by 3 desc limit ${LONGEST_WAITING_COUNT}`),
    db.execute<{ name: string }>(sql`
      select coalesce(host(client_addr), 'local') || ' (PostgreSQL process ' || l.pid || ')' as name
      from pg_locks l join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = ${advisoryLocks.relay}
        and l.database = (select oid from pg_database where datname = current_database())`),
    db.select({ updatedAt: outboxRelay.updatedAt }).from(outboxRelay),
  ]);
  const [total] = totals.rows;
  return {
    waiting: total?.waiting ?? 0,
    oldestAgeSeconds: total?.age ?? 0,
    longestWaiting: waiting.rows,
    kept: total?.kept ?? 0,
    leader: leader.rows[0]?.name ?? null,
    brokerSince: broker[0]?.updatedAt ?? null,
  };
}

/**
 * Has kept events published again, of one user or of everybody. Safe at any time: the broker recognises the id of each
 * that it still has for as long as they are kept.
 * @returns how many are due now
 */
export async function replayKept(db: Database, userId: number | null): Promise<number> {
  const which: SQL = userId === null ? sql`true` : sql`user_id = ${userId}`;
  const { rowCount } = await db.execute(
    sql`update ${outbox} set published_at = null where published_at is not null and ${which}`,
  );
  return rowCount ?? 0;
}
