import { sql } from 'drizzle-orm';
import { advisoryLocks } from '../../db/advisory-locks.ts';
import { importedUsers, reservedUserIds, users } from '../../db/schema/index.ts';
import { inTransaction, type Transaction } from '../../db/transaction.ts';
import type { Database } from '../../plugins/database-plugin.ts';

/** A user that shall be written. */
export interface UserRow {
  readonly formerId: string | null;
  /** The id to be kept; null takes the next. */
  readonly userId: number | null;
  readonly phoneNumberE164: string;
  readonly phoneNumber: string;
  readonly email: string | null;
  readonly passwordHash: string | null;
  readonly createdAt: Date | null;
  readonly lastLoginAt: Date | null;
  readonly isDisabled: boolean;
}

/** So long may registrations that are being written keep an import waiting, and it them; all are one statement. */
const LOCK_TIMEOUT = '10s';

export interface IdRange {
  readonly firstId: number;
  readonly lastId: number;
}

/** The ids that were set aside for imports. */
export async function findReservedIds(db: Database): Promise<IdRange[]> {
  return db.select({ firstId: reservedUserIds.firstId, lastId: reservedUserIds.lastId }).from(reservedUserIds);
}

/** The newest id that was given to an account, or set aside; 0 for none. */
export async function findLastId(db: Database | Transaction): Promise<number> {
  // The name of a sequence cannot be a parameter.
  const { rows } = await db.execute<{ name: string }>(sql`select pg_get_serial_sequence('users', 'id') as name`);
  const sequence = sql.raw(rows[0]?.name ?? '');
  const last = await db.execute<{ last: number }>(
    sql`select case when is_called then last_value else last_value - 1 end::float8 as last from ${sequence}`,
  );
  return last.rows[0]?.last ?? 0;
}

/**
 * Sets the ids aside that were never given out, up to this one: the sequence goes on after it. Without that a
 * registration would draw an id that the import has just written, and be refused for it.
 */
export async function reserveIds(db: Database, upToId: number): Promise<void> {
  await inTransaction(db, async (tx) => {
    await tx.execute(sql.raw(`set local lock_timeout = '${LOCK_TIMEOUT}'`));
    // Nobody draws an id between the look and the change.
    await tx.execute(sql`lock table ${users} in share row exclusive mode`);
    const lastId = await findLastId(tx);
    if (lastId >= upToId) return;
    await tx.insert(reservedUserIds).values({ firstId: lastId + 1, lastId: upToId });
    await tx.execute(sql`select setval(pg_get_serial_sequence('users', 'id'), ${upToId}::bigint)`);
  });
}

/** Runs one batch: as a whole or not at all, and never beside a batch of another import. */
export async function withImportLock<Result>(
  db: Database,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  return inTransaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${advisoryLocks.imports})`);
    return work(tx);
  });
}

/** What is in the database already of what a batch would write. */
export interface Existing {
  readonly formerIds: ReadonlySet<string>;
  readonly userIds: ReadonlySet<number>;
  readonly phoneNumbers: ReadonlySet<string>;
  readonly emails: ReadonlySet<string>;
}

function present<Value>(values: readonly (Value | null)[]): Value[] {
  return values.filter((value): value is Value & {} => value !== null);
}

export async function findExisting(tx: Database | Transaction, rows: readonly UserRow[]): Promise<Existing> {
  const formerIds = present(rows.map(({ formerId }) => formerId));
  const userIds = present(rows.map(({ userId }) => userId));
  const phoneNumbers = rows.map(({ phoneNumberE164 }) => phoneNumberE164);
  const emails = present(rows.map(({ email }) => email));
  const imported = await tx.execute<{ formerId: string }>(
    sql`select former_id as "formerId" from ${importedUsers} where former_id = any(${sql.param(formerIds)}::text[])`,
  );
  const found = await tx.execute<{ id: number; phoneNumber: string | null; email: string | null }>(sql`
    select id::float8 as id, phone_number_e164 as "phoneNumber", email from ${users}
    where id = any(${sql.param(userIds)}::bigint[]) or phone_number_e164 = any(${sql.param(phoneNumbers)}::text[])
      or email = any(${sql.param(emails)}::text[])`);
  return {
    formerIds: new Set(imported.rows.map(({ formerId }) => formerId)),
    userIds: new Set(found.rows.map(({ id }) => id)),
    phoneNumbers: new Set(present(found.rows.map(({ phoneNumber }) => phoneNumber))),
    emails: new Set(present(found.rows.map(({ email }) => email))),
  };
}

/**
 * Writes users, and which of the former ones they were, in one statement. They have no event: they registered long ago,
 * and nobody wants to be told of each.
 * @returns the numbers of those that were written; the others had something of an account that came in between
 */
export async function insertUsers(tx: Transaction, rows: readonly UserRow[]): Promise<ReadonlySet<string>> {
  const column = <Value>(get: (row: UserRow) => Value): ReturnType<typeof sql.param> => sql.param(rows.map(get));
  const written = await tx.execute<{ phoneNumber: string }>(sql`
    with incoming as (
      select * from unnest(
        ${column((row) => row.formerId)}::text[], ${column((row) => row.userId)}::bigint[],
        ${column((row) => row.phoneNumberE164)}::text[], ${column((row) => row.phoneNumber)}::text[],
        ${column((row) => row.email)}::text[], ${column((row) => row.passwordHash)}::text[],
        ${column((row) => row.createdAt?.toISOString() ?? null)}::timestamptz[],
        ${column((row) => row.lastLoginAt?.toISOString() ?? null)}::timestamptz[],
        ${column((row) => row.isDisabled)}::boolean[]
      ) as i(former_id, id, phone_number_e164, phone_number, email, password_hash, created_at, last_login_at, is_disabled)
    ), account as (
      insert into ${users} (id, phone_number_e164, phone_number, email, password_hash, created_at, last_login_at,
        disabled_at)
      overriding system value
      select coalesce(id, nextval(pg_get_serial_sequence('users', 'id'))), phone_number_e164, phone_number, email,
        password_hash, coalesce(created_at, now()), last_login_at, case when is_disabled then now() end
      from incoming
      on conflict do nothing
      returning id, phone_number_e164
    ), origin as (
      insert into ${importedUsers} (former_id, user_id)
      select incoming.former_id, account.id from incoming join account using (phone_number_e164)
      where incoming.former_id is not null
    )
    select phone_number_e164 as "phoneNumber" from account`);
  return new Set(written.rows.map(({ phoneNumber }) => phoneNumber));
}
