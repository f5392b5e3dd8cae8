import { sql, type SQL } from 'drizzle-orm';
import { passwordKind, sessions, users } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';

/** An account as an operator sees it. */
export interface ListedAccount {
  readonly userId: number;
  readonly kind: 'person' | 'service';
  /** As its owner wrote it; of a service its name. */
  readonly name: string;
  readonly phoneNumberE164: string | null;
  readonly email: string | null;
  readonly scopes: string[];
  readonly createdAt: Date;
  readonly lastLoginAt: Date | null;
  readonly disabledAt: Date | null;
  /** Sessions that have not ended. */
  readonly sessions: number;
  /** Events that the account has had: its newest `seq`. */
  readonly eventSeq: number;
  /** The stored hash without salt and digest, for instance `$argon2id$v=19$m=19456,t=2,p=1`; null: no password that works. */
  readonly passwordKind: string | null;
}

export interface AccountFilter {
  /** Only ids above it, in their order. */
  readonly afterId: number;
  readonly limit: number;
  readonly isDisabledOnly: boolean;
}

function select(where: SQL, limit: number): SQL {
  return sql`
    select u.id::float8 as "userId", u.kind, u.phone_number as name, u.phone_number_e164 as "phoneNumberE164", u.email,
      u.scopes, u.created_at as "createdAt", u.last_login_at as "lastLoginAt", u.disabled_at as "disabledAt",
      u.event_seq::float8 as "eventSeq", nullif(${passwordKind}, '') as "passwordKind",
      (select count(*)::int from ${sessions} s
        where s.user_id = u.id and s.revoked_at is null and s.idle_expires_at > now()) as sessions
    from ${users} u where ${where} order by u.id limit ${limit}`;
}

async function read(db: Database, where: SQL, limit: number): Promise<ListedAccount[]> {
  const { rows } = await db.execute<{ [Key in keyof ListedAccount]: ListedAccount[Key] }>(select(where, limit));
  return rows.map((row) => ({
    ...row,
    createdAt: new Date(row.createdAt),
    lastLoginAt: row.lastLoginAt === null ? null : new Date(row.lastLoginAt),
    disabledAt: row.disabledAt === null ? null : new Date(row.disabledAt),
  }));
}

export function listAccounts(db: Database, { afterId, limit, isDisabledOnly }: AccountFilter): Promise<ListedAccount[]> {
  const disabled = isDisabledOnly ? sql` and u.disabled_at is not null` : sql``;
  return read(db, sql`u.id > ${afterId}${disabled}`, limit);
}

export async function findListedAccount(db: Database, userId: number): Promise<ListedAccount | null> {
  const [account] = await read(db, sql`u.id = ${userId}`, 1);
  return account ?? null;
}
