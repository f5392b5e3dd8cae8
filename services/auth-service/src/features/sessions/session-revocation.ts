import { REVOKED_SESSIONS_MAX, sessionRevoked, type SessionRevokedReason } from '@infrasignal/shared';
import { sql, type SQL } from 'drizzle-orm';
import { sessions, users } from '../../db/schema/index.ts';
import type { Transaction } from '../../db/user-lock.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';

export interface Revocation {
  readonly userId: number;
  /** Which of the user's live sessions, as a condition on a row of `sessions`. */
  readonly which: SQL;
  readonly reason: SessionRevokedReason;
}

/**
 * Ends live sessions and writes one `session.revoked` that names them, in one statement. Call it within
 * `withUserLock`, which is what makes it see every session there is.
 * @returns how many sessions ended; when none did, no event was written
 */
export async function revokeSessions(tx: Transaction, { userId, which, reason }: Revocation): Promise<number> {
  const { rows } = await tx.execute<{ count: number }>(sql`
    with ended as (
      update ${sessions} set revoked_at = now()
      where user_id = ${userId} and revoked_at is null and idle_expires_at > now() and (${which})
      returning id, last_used_at
    ), account as (
      update ${users} set event_seq = event_seq + 1
      where id = ${userId} and exists (select 1 from ended)
      returning id, event_seq
    ), named as (
      select id from ended order by last_used_at desc limit ${REVOKED_SESSIONS_MAX}
    ), event as (
      ${insertEvent({
        definition: sessionRevoked,
        from: 'account',
        data: sql`jsonb_build_object('user_id', account.id, 'reason', ${reason}::text,
          'session_ids', (select jsonb_agg(id) from named))`,
      })}
    )
    select count(*)::int as count from ended`);
  return rows[0]?.count ?? 0;
}

/** The one session of that id. */
export function isSession(sessionId: string): SQL {
  return sql`${sessions.id} = ${sessionId}::uuid`;
}

/** Every session but that one. */
export function isOtherSession(sessionId: string): SQL {
  return sql`${sessions.id} <> ${sessionId}::uuid`;
}

/** Every session. */
export const isAnySession: SQL = sql`true`;
