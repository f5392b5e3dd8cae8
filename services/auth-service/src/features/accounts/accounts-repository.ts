import type { Traced } from '@infrasignal/service-kit';
import { userDeleted, userRegistered, userUpdated } from '@infrasignal/shared';
import { eq, sql, type SQL } from 'drizzle-orm';
import { executePrepared } from '../../db/prepared-statement.ts';
import { outbox, sessions, users } from '../../db/schema/index.ts';
import type { Transaction } from '../../db/transaction.ts';
import { isUniqueViolation } from '../../db/unique-violation.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { deleteExpiredKeys, insertRegistrationKey } from './registration-keys-repository.ts';
import type { RegistrationKey } from './registration-keys.ts';

export interface NewAccount {
  readonly phoneNumberE164: string;
  /** As the user wrote it. */
  readonly phoneNumber: string;
  readonly email: string | null;
  readonly passwordHash: string;
}

/** What the statement of a registration writes besides the account. */
export interface FirstRows extends Traced {
  readonly sessionId: string;
  /** Renders the session's insert for the user that the CTE of that name returns. */
  readonly insertSession: (from: string) => SQL;
  /** What a retry is recognised by; null when none was announced. */
  readonly registrationKey: RegistrationKey | null;
  /** Renders how failed logins to the number are forgotten, for the account that the CTE of that name returns. */
  readonly forgetFailures: (when: string) => SQL;
}

export type TakenField = 'phone_number' | 'email';

/** What another account already has. */
export interface Taken {
  readonly field: TakenField;
}

/**
 * Which of the two identities another account already has, as a SELECT of a {@link Taken} or nothing. The number is named
 * first. Without an address the second condition is null, which holds for nobody.
 */
export function selectTaken({ phoneNumberE164, email }: Pick<NewAccount, 'phoneNumberE164' | 'email'>): SQL {
  const isNumber = sql`bool_or(phone_number_e164 = ${phoneNumberE164})`;
  return sql`select case when ${isNumber} then 'phone_number' else 'email' end as field
    from ${users} where phone_number_e164 = ${phoneNumberE164} or email = ${email} having count(*) > 0`;
}

/** The same of now; null if neither. */
export async function findTakenField(
  db: Database,
  identity: Pick<NewAccount, 'phoneNumberE164' | 'email'>,
): Promise<TakenField | null> {
  const { rows } = await db.execute<Taken & Record<string, unknown>>(selectTaken(identity));
  return rows[0]?.field ?? null;
}

/**
 * Creates the account, its first session, what recognises a retry, and its `user.registered`, in one statement.
 * @returns the new user's id; null when the number, the address or the key was taken, then nothing was written
 */
export async function insertAccount(
  db: Database,
  account: NewAccount,
  { sessionId, insertSession, registrationKey, forgetFailures, traceparent }: FirstRows,
): Promise<number | null> {
  const withKey =
    registrationKey === null
      ? sql``
      : sql`, registration_key as (
          ${insertRegistrationKey(registrationKey, sessionId, 'account')}
        ), expired_keys as (
          ${deleteExpiredKeys()}
        )`;
  const statement = sql`
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
        traceparent,
        data: sql`jsonb_build_object('user_id', account.id, 'phone_number', account.phone_number)`,
      })}
    ), forgotten as (
      ${forgetFailures('account')}
    )${withKey}
    select id from account`;
  try {
    const [row] = await executePrepared<{ id: string }>(db, statement);
    return row === undefined ? null : Number(row.id);
  } catch (error) {
    // Only the key can collide otherwise: the same one came with another number at the same moment.
    if (isUniqueViolation(error)) return null;
    throw error;
  }
}

export interface Profile {
  readonly userId: number;
  readonly phoneNumber: string;
  readonly phoneNumberE164: string;
  readonly email: string | null;
  readonly createdAt: Date;
  readonly lastLoginAt: Date | null;
}

const profileColumns = {
  userId: users.id,
  phoneNumber: users.phoneNumber,
  phoneNumberE164: users.phoneNumberE164,
  email: users.email,
  createdAt: users.createdAt,
  lastLoginAt: users.lastLoginAt,
};

/** What the account says of its user; null when it is gone. */
export async function findProfile(db: Database, userId: number): Promise<Profile | null> {
  const [row] = await db.select(profileColumns).from(users).where(eq(users.id, userId));
  // A service has credentials but no profile: nothing about it is personal.
  return row?.phoneNumberE164 == null ? null : { ...row, phoneNumberE164: row.phoneNumberE164 };
}

/** The profile and everything else that is held about a user, for the user to have. Secrets are not the user's data. */
export async function findEverything(
  db: Database,
  userId: number,
): Promise<{ scopes: string[]; sessions: HeldSession[]; events: HeldEvent[] }> {
  const [[account], heldSessions, heldEvents] = await Promise.all([
    db.select({ scopes: users.scopes }).from(users).where(eq(users.id, userId)),
    db
      .select({
        id: sessions.id,
        createdAt: sessions.createdAt,
        lastUsedAt: sessions.lastUsedAt,
        expiresAt: sessions.expiresAt,
        revokedAt: sessions.revokedAt,
        userAgent: sessions.userAgent,
        address: sessions.addressPrefix,
      })
      .from(sessions)
      .where(eq(sessions.userId, userId))
      .orderBy(sessions.createdAt),
    db
      .select({ id: outbox.eventId, type: outbox.type, seq: outbox.seq, time: outbox.createdAt, data: outbox.payload })
      .from(outbox)
      .where(eq(outbox.userId, userId))
      .orderBy(outbox.seq),
  ]);
  return { scopes: account?.scopes ?? [], sessions: heldSessions, events: heldEvents };
}

export interface HeldSession {
  readonly id: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
  readonly userAgent: string | null;
  readonly address: string | null;
}

export interface HeldEvent {
  readonly id: string;
  readonly type: string;
  readonly seq: number;
  readonly time: Date;
  readonly data: Record<string, unknown>;
}

/** Which account, and as part of which trace. */
interface AccountToChange extends Traced {
  readonly userId: number;
}

/**
 * Sets or removes the e-mail address and writes `user.updated` in one statement.
 * @returns false when the address belongs to another account or the user is gone
 */
export async function updateEmail(
  db: Database,
  { userId, traceparent }: AccountToChange,
  email: string | null,
): Promise<boolean> {
  try {
    const { rows } = await db.execute(sql`
      with account as (
        update ${users} set email = ${email}, event_seq = event_seq + 1 where id = ${userId}
        returning id, event_seq
      ), event as (
        ${insertEvent({
          definition: userUpdated,
          from: 'account',
          traceparent,
          data: sql`jsonb_build_object('user_id', account.id, 'changed', jsonb_build_array('email'))`,
        })}
      )
      select id from account`);
    return rows.length === 1;
  } catch (error) {
    if (isUniqueViolation(error)) return false;
    throw error;
  }
}

/**
 * Removes the account with everything that hangs on it and writes `user.deleted`, in one statement. Its sessions must
 * have been revoked before, in the same transaction.
 * @param passwordHash of the password that was proven; null: an operator's order, without any
 * @returns false when the password that was proven is no longer the account's
 */
export async function deleteAccount(
  tx: Transaction,
  { userId, traceparent }: AccountToChange,
  passwordHash: string | null,
): Promise<boolean> {
  const isProven = passwordHash === null ? sql`true` : sql`password_hash = ${passwordHash}`;
  const { rows } = await tx.execute(sql`
    with account as (
      delete from ${users} where id = ${userId} and ${isProven}
      returning id, event_seq + 1 as event_seq
    ), event as (
      ${insertEvent({
        definition: userDeleted,
        from: 'account',
        traceparent,
        data: sql`jsonb_build_object('user_id', account.id)`,
      })}
    )
    select id from account`);
  return rows.length === 1;
}
