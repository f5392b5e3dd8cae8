import { sql } from 'drizzle-orm';
import { users } from '../../db/schema/index.ts';
import type { Transaction } from '../../db/transaction.ts';

/** Disables an account, or lets it in again. @returns false when it already was that way */
export async function setDisabled(tx: Transaction, userId: number, isDisabled: boolean): Promise<boolean> {
  const { rowCount } = await tx.execute(
    isDisabled
      ? sql`update ${users} set disabled_at = now() where id = ${userId} and disabled_at is null`
      : sql`update ${users} set disabled_at = null where id = ${userId} and disabled_at is not null`,
  );
  return rowCount === 1;
}
