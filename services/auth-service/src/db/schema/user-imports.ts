import { sql } from 'drizzle-orm';
import { bigint, check, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * Which user of the former system became which of ours. It outlives the account: somebody who was imported and has
 * deleted the account is not brought back by the next run over the same file.
 */
export const importedUsers = pgTable('imported_users', {
  /** The primary key in the former system, as text: it may be a UUID. */
  formerId: text('former_id').primaryKey(),
  userId: bigint('user_id', { mode: 'number' }).notNull(),
  importedAt: timestamp('imported_at', { withTimezone: true }).notNull().defaultNow(),
});

/**
 * Ranges of user ids that were set aside for imports, and that the identity sequence has skipped: only these can be
 * given to an imported user. Any other id may have been somebody's here, whose events are still in the stream.
 */
export const reservedUserIds = pgTable(
  'reserved_user_ids',
  {
    firstId: bigint('first_id', { mode: 'number' }).primaryKey(),
    lastId: bigint('last_id', { mode: 'number' }).notNull(),
    reservedAt: timestamp('reserved_at', { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [check('reserved_user_ids_in_order', sql`${table.firstId} >= 1 and ${table.lastId} >= ${table.firstId}`)],
);
