import { userRegistered } from '@infrasignal/shared';
import { eq, sql, type SQL } from 'drizzle-orm';
import { users } from '../../db/schema/index.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';
import type { Database } from '../../plugins/database-plugin.ts';

export interface NewAccount {
  readonly phoneNumberE164: string;
  /** As the user wrote it. */
  readonly phoneNumber: string;
  readonly email: string | null;
  readonly passwordHash: string;
}

export type TakenField = 'phone_number' | 'email';

/** Which of the two identities another account already has; null if neither. The number is named first. */
export async function findTakenField(
  db: Database,
  { phoneNumberE164, email }: Pick<NewAccount, 'phoneNumberE164' | 'email'>,
): Promise<TakenField | null> {
  const isSameNumber = eq(users.phoneNumberE164, phoneNumberE164);
  const condition = email === null ? isSameNumber : sql`${isSameNumber} or ${eq(users.email, email)}`;
  const rows = await db.select({ phoneNumberE164: users.phoneNumberE164 }).from(users).where(condition);
  if (rows.length === 0) return null;
  return rows.some((row) => row.phoneNumberE164 === phoneNumberE164) ? 'phone_number' : 'email';
}

/**
 * Creates the account, its first session and its `user.registered` in one statement.
 * @param insertSession renders the session's insert for the CTE of that name
 * @returns the new user's id; null when the number or the address was taken, then nothing was written
 */
export async function insertAccount(
  db: Database,
  account: NewAccount,
  insertSession: (from: string) => SQL,
): Promise<number | null> {
  const { rows } = await db.execute<{ id: string }>(sql`
    with account as (
      insert into ${users} (phone_number_e164, phone_number, email, password_hash, event_seq)
      values (${account.phoneNumberE164}, ${account.phoneNumber}, ${account.email}, ${account.passwordHash}, 1)
      on conflict do nothing
      returning id, event_seq, phone_number
    ), session as (
      ${insertSession('account')}
    ), event as (
      ${insertEvent({
        definition: userRegistered,
        from: 'account',
        data: sql`jsonb_build_object('user_id', account.id, 'phone_number', account.phone_number)`,
      })}
    )
    select id from account`);
  const [row] = rows;
  return row === undefined ? null : Number(row.id);
}
