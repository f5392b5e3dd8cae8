import type { Traced } from '@infrasignal/service-kit';
import { REVOKED_SESSIONS_MAX, sessionRevoked, type SessionRevokedReason } from '@infrasignal/shared';
import { sql, type SQL } from 'drizzle-orm';
import { sessions, users } from '../../db/schema/index.ts';
import type { Transaction } from '../../db/transaction.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';

export interface Revocation extends Traced {
  readonly userId: number;
  /** Which of the user's live sessions, as a condition on a row of `sessions`. */
  readonly which: SQL;
  readonly reason: SessionRevokedReason;
}

/**
 * Ends live sessions and writes a `session.revoked` that names them; more than one where one would be too large for the
 * broker. Call it within `withUserLock`, which is what makes it see every session there is.
 * @returns how many sessions ended; when none did, no event was written
 */
export async function revokeSessions(tx: Transaction, revocation: Revocation): Promise<number> {
  let total = 0;
  for (;;) {
    const count = await revokeSome(tx, revocation);
    total += count;
    if (count < REVOKED_SESSIONS_MAX) return total;
  }
}

/** Ends as many sessions as one event can name, the most recently used first, with that event in one statement. */
async function revokeSome(tx: Transaction, { userId, which, reason, traceparent }: Revocation): Promise<number> {
  const { rows } = await tx.execute<{ count: number }>(sql`
    with ended as (
      update ${sessions} set revoked_at = now()
      where revoked_at is null and id in (
        select id from ${sessions}
        where user_id = ${userId} and revoked_at is null and idle_expires_at > now() and (${which})
        order by last_used_at desc limit ${REVOKED_SESSIONS_MAX})
      returning id
    ), account as (
      update ${users} set event_seq = event_seq + 1
      where id = ${userId} and exists (select 1 from ended)
      returning id, event_seq
    ), event as (
      ${insertEvent({
        definition: sessionRevoked,
        from: 'account',
        traceparent,
        data: sql`jsonb_build_object('user_id', account.id, 'reason', ${reason}::text,
          'session_ids', (select jsonb_agg(id) from ended))`,
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
