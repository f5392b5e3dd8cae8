import { DrizzleQueryError, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import type { Database } from '../plugins/database-plugin.ts';

export type Transaction = Omit<NodePgDatabase, 'transaction'>;

/** True if the server itself said what was wrong, or nothing was wrong with a statement: it listens to the next one. */
function doesServerAnswer(error: unknown): boolean {
  return !(error instanceof DrizzleQueryError) || error.cause instanceof pg.DatabaseError;
}

/**
 * Runs `change` in a transaction, which is committed when this resolves and was rolled back, or will be by the server,
 * when it rejects. If it rejects for want of an answer to the commit, nobody knows.
 *
 * Drizzle's own (0.45.4) never gives its connection back when it is lost before the transaction has begun, and gives
 * back one whose statement, and then its rollback, were not answered in time, as if it were good: its next user would
 * work within that open transaction, and nothing of it would ever be committed.
 */
export async function inTransaction<Result>(
  db: Database,
  change: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const client = await db.$client.connect();
  const tx = drizzle(client);
  let isOver = false;
  try {
    await tx.execute(sql`begin`);
    const result = await change(tx);
    const { command } = await tx.execute(sql`commit`);
    isOver = true;
    // What PostgreSQL makes of a commit after a failed statement, without an error.
    if (command !== 'COMMIT') throw new Error(`the commit ended as ${command}`);
    return result;
  } catch (error) {
    if (!isOver && doesServerAnswer(error)) {
      isOver = await tx.execute(sql`rollback`).then(
        () => true,
        () => false,
      );
    }
    throw error;
  } finally {
    // A connection that is in doubt is closed: with it the server ends what was open.
    client.release(!isOver);
  }
}
