import { isNull, sql } from 'drizzle-orm';
import { signingKeys } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';

export type StoredKey = typeof signingKeys.$inferSelect;
export type NewKey = Pick<StoredKey, 'kid' | 'publicJwk' | 'privateKeyEncrypted'>;

/** Transaction-level advisory lock: instances that start together agree on one first key. */
const SIGNING_KEYS_LOCK = 7_203_413;

/** All keys, newest first. */
export async function findKeys(db: Database): Promise<StoredKey[]> {
  return db.query.signingKeys.findMany({ orderBy: (key, { desc }) => [desc(key.createdAt), desc(key.kid)] });
}

/** Adds the key that `generate` makes, unless an instance was faster and a signing key exists. */
export async function ensureSigningKey(db: Database, generate: () => NewKey): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${SIGNING_KEYS_LOCK})`);
    const existing = await tx.select({ kid: signingKeys.kid }).from(signingKeys).where(isNull(signingKeys.retiredAt));
    if (existing.length === 0) await tx.insert(signingKeys).values(generate());
  });
}
