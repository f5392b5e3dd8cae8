import { sql } from 'drizzle-orm';
import type { Database } from '../plugins/database-plugin.ts';
import { users } from './schema/index.ts';
import { inTransaction, type Transaction } from './transaction.ts';

/**
 * Runs `change` while holding the user's row.
 *
 * Whatever ends sessions goes through here. A single statement would see the sessions of the moment it began, and miss
 * one that a login was just committing while it waited for the row; the statement after the lock sees it. And since
 * everything locks the user first and sessions after, nothing deadlocks.
 *
 * @returns null when there is no such user; then `change` did not run
 */
export async function withUserLock<Result>(
  db: Database,
  userId: number,
  change: (tx: Transaction) => Promise<Result>,
): Promise<Result | null> {
  return inTransaction(db, async (tx) => {
    const { rowCount } = await tx.execute(sql`select 1 from ${users} where id = ${userId} for update`);
    return rowCount === 0 ? null : change(tx);
  });
}
