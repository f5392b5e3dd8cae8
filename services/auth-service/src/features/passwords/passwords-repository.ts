import type { Traced } from '@infrasignal/service-kit';
import { userPasswordChanged } from '@infrasignal/shared';
import { eq, sql, type SQL } from 'drizzle-orm';
import { users } from '../../db/schema/index.ts';
import type { Transaction } from '../../db/transaction.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';
import type { Database } from '../../plugins/database-plugin.ts';

export interface PasswordHolder {
  readonly passwordHash: string | null;
  readonly phoneNumberE164: string | null;
  readonly phoneNumber: string;
  readonly email: string | null;
}

/** What a password of this user is checked with and against; null when the account is gone. */
export async function findPasswordHolder(db: Database, userId: number): Promise<PasswordHolder | null> {
  const [row] = await db
    .select({
      passwordHash: users.passwordHash,
      phoneNumberE164: users.phoneNumberE164,
      phoneNumber: users.phoneNumber,
      email: users.email,
    })
    .from(users)
    .where(eq(users.id, userId));
  return row ?? null;
}

export interface PasswordChange extends Traced {
  readonly userId: number;
  /** The hash that was checked; another one by now means that somebody else changed it first. */
  readonly from: string;
  readonly to: string;
  /** Renders what is forgotten with the old password, for the account that the CTE of that name returns. */
  readonly forgetFailures: (when: string) => SQL;
}

/** Replaces the hash and writes `user.password_changed` in one statement. @returns false when `from` is gone */
export async function updatePassword(
  tx: Transaction,
  { userId, from, to, forgetFailures, traceparent }: PasswordChange,
): Promise<boolean> {
  const { rows } = await tx.execute(sql`
    with account as (
      update ${users} set password_hash = ${to}, event_seq = event_seq + 1
      where id = ${userId} and password_hash = ${from}
      returning id, event_seq
    ), event as (
      ${insertEvent({
        definition: userPasswordChanged,
        from: 'account',
        traceparent,
        data: sql`jsonb_build_object('user_id', account.id)`,
      })}
    ), forgotten as (
      ${forgetFailures('account')}
    )
    select id from account`);
  return rows.length === 1;
}
