import { sql } from 'drizzle-orm';
import { broadcastLog, sessions, users } from '../db/schema/index.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Database } from '../plugins/database-plugin.ts';

/** What the stream knows, and the database may have forgotten. */
export interface Remembered {
  readonly newestSeqs: ReadonlyMap<number, number>;
  readonly broadcastSeq: number;
  readonly endedSessionIds: ReadonlySet<string>;
  readonly deletedUserIds: ReadonlySet<number>;
}

export interface Reconciliation {
  /** Users whose counter was behind what had been published. */
  readonly raisedUsers: number;
  /** Sessions that had been ended, and were alive again. */
  readonly endedSessions: number;
  /** Accounts that were there, and are not: their registration is among what was lost. */
  readonly missingUserIds: readonly number[];
  /** Accounts that had been deleted, and are back. */
  readonly returnedUserIds: readonly number[];
  readonly isBroadcastLogRaised: boolean;
}

/** Ids are handed out from here at the least: above every one that anybody has heard of. */
async function raiseUserIds(tx: Pick<Database, 'execute'>, userIds: readonly number[]): Promise<void> {
  const highest = userIds.reduce((max, id) => Math.max(max, id), 0);
  await tx.execute(sql`
    select setval(pg_get_serial_sequence('users', 'id'), ${highest})
    where ${highest} > (select last_value from users_id_seq)`);
}

/**
 * Brings a database that lost its newest commits back behind nothing that was published: a counter that was used again
 * would number two events alike, of which nobody is told the second; an id that was given out again would make one user
 * the heir of another's events. Sessions that had ended end again. What the lost commits changed otherwise stays lost.
 * No instance may run meanwhile.
 */
export async function reconcile(db: Database, remembered: Remembered): Promise<Reconciliation> {
  const { newestSeqs, broadcastSeq, endedSessionIds, deletedUserIds } = remembered;
  const userIds = [...newestSeqs.keys()];
  const asIds = sql`${sql.param(userIds)}::bigint[]`;
  return inTransaction(db, async (tx) => {
    const raised = await tx.execute(sql`
      update ${users} set event_seq = published.seq
      from unnest(${asIds}, ${sql.param([...newestSeqs.values()])}::bigint[]) as published(user_id, seq)
      where ${users.id} = published.user_id and ${users.eventSeq} < published.seq`);
    const ended = await tx.execute(sql`
      update ${sessions} set revoked_at = now()
      where revoked_at is null and id = any(${sql.param([...endedSessionIds])}::uuid[])`);
    const broadcasts = await tx.execute(sql`
      insert into ${broadcastLog} (event_seq) select ${broadcastSeq}::bigint where ${broadcastSeq}::bigint > 0
      on conflict (is_only_row) do update set event_seq = excluded.event_seq
      where broadcast_log.event_seq < excluded.event_seq`);
    const present = await tx.execute<{ id: number }>(sql`
      select id::float8 as id from ${users} where id = any(${asIds}) order by 1`);
    await raiseUserIds(tx, userIds);
    const presentIds = new Set(present.rows.map(({ id }) => id));
    return {
      raisedUsers: raised.rowCount ?? 0,
      endedSessions: ended.rowCount ?? 0,
      missingUserIds: userIds.filter((id) => !presentIds.has(id) && !deletedUserIds.has(id)).sort((a, b) => a - b),
      returnedUserIds: [...presentIds].filter((id) => deletedUserIds.has(id)),
      isBroadcastLogRaised: (broadcasts.rowCount ?? 0) > 0,
    };
  });
}
