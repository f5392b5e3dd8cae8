import { and, eq, isNotNull, isNull, lt, sql } from 'drizzle-orm';
import { advisoryLocks } from '../../db/advisory-locks.ts';
import { signingKeys } from '../../db/schema/index.ts';
import { inTransaction, type Transaction } from '../../db/transaction.ts';
import type { Database } from '../../plugins/database-plugin.ts';

export type StoredKey = typeof signingKeys.$inferSelect & {
  /** By the database's clock, which is the only one that keys go by. */
  readonly ageSeconds: number;
};
export type NewKey = Pick<StoredKey, 'kid' | 'publicJwk' | 'privateKeyEncrypted'>;

/** All keys, newest first. */
export async function findKeys(db: Database): Promise<StoredKey[]> {
  return db.query.signingKeys.findMany({
    extras: (key) => ({
      ageSeconds: sql<number>`extract(epoch from clock_timestamp() - ${key.createdAt})::float8`.as('age_seconds'),
    }),
    orderBy: (key, { desc }) => [desc(key.createdAt), desc(key.kid)],
  });
}

async function locked<Result>(db: Database, change: (tx: Transaction) => Promise<Result>): Promise<Result> {
  return inTransaction(db, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${advisoryLocks.signingKeys})`);
    return change(tx);
  });
}

/**
 * Puts a new key in the place of the signing one, if that is older than `maxAgeSeconds` or there is none. Of several
 * instances that ask at once, one makes the key.
 * @param maxAgeSeconds 0 replaces the signing key in any case; null only when there is none
 * @returns true if this call made a key
 */
export async function replaceSigningKey(
  db: Database,
  maxAgeSeconds: number | null,
  generate: () => NewKey,
): Promise<boolean> {
  return locked(db, async (tx) => {
    const isYoung =
      maxAgeSeconds === null
        ? sql`true`
        : sql`${signingKeys.createdAt} > now() - make_interval(secs => ${maxAgeSeconds})`;
    const good = await tx.select().from(signingKeys).where(and(isNull(signingKeys.retiredAt), isYoung));
    if (good.length > 0 && maxAgeSeconds !== 0) return false;
    await tx.update(signingKeys).set({ retiredAt: sql`now()` }).where(isNull(signingKeys.retiredAt));
    await tx.insert(signingKeys).values({ ...generate(), createdAt: sql`clock_timestamp()` });
    return true;
  });
}

/** Removes keys that retired longer than `seconds` ago: every token they signed has expired. */
export async function deleteRetiredKeys(db: Database, seconds: number): Promise<void> {
  const isOver = lt(signingKeys.retiredAt, sql`now() - make_interval(secs => ${seconds})`);
  await db.delete(signingKeys).where(and(isNotNull(signingKeys.retiredAt), isOver));
}

/** Stores a private key encrypted anew, under the present SECRET_KEY. */
export async function updateEncryptedKey(db: Database, kid: string, privateKeyEncrypted: Buffer): Promise<void> {
  await db.update(signingKeys).set({ privateKeyEncrypted }).where(eq(signingKeys.kid, kid));
}
