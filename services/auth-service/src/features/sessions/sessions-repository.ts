import { userLogin } from '@infrasignal/shared';
import { eq, sql } from 'drizzle-orm';
import { users } from '../../db/schema/index.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { NewSession, SessionUser } from './session-opener.ts';

export interface LoginCandidate extends SessionUser {
  readonly passwordHash: string | null;
  readonly isDisabled: boolean;
}

/** The account of a number, with what a login is decided by; null if there is none. */
export async function findLoginCandidate(db: Database, phoneNumberE164: string): Promise<LoginCandidate | null> {
  const [row] = await db
    .select({
      userId: users.id,
      phoneNumber: users.phoneNumber,
      passwordHash: users.passwordHash,
      disabledAt: users.disabledAt,
    })
    .from(users)
    .where(eq(users.phoneNumberE164, phoneNumberE164));
  if (row === undefined) return null;
  const { userId, phoneNumber, passwordHash, disabledAt } = row;
  return { userId, phoneNumber, passwordHash, isDisabled: disabledAt !== null };
}

/**
 * Opens a session and writes `user.login` in one statement, if the account is still the one whose password was checked.
 * @returns false when it was disabled, deleted or given another password meanwhile; then nothing was written
 */
export async function insertLogin(db: Database, candidate: LoginCandidate, session: NewSession): Promise<boolean> {
  const { rows } = await db.execute<{ id: string }>(sql`
    with account as (
      update ${users} set event_seq = event_seq + 1, last_login_at = now()
      where id = ${candidate.userId} and password_hash = ${candidate.passwordHash} and disabled_at is null
      returning id, event_seq, phone_number
    ), session as (
      ${session.insert('account')}
    ), event as (
      ${insertEvent({
        definition: userLogin,
        from: 'account',
        data: sql`jsonb_build_object('user_id', account.id, 'phone_number', account.phone_number)`,
      })}
    )
    select id from account`);
  return rows.length === 1;
}
