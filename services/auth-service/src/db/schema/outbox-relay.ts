import { sql } from 'drizzle-orm';
import { boolean, check, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * One row: the broker that the published rows of the outbox are known to be on. When it changes, the last rows are
 * published again, because another broker, or the same one after a power cut, may not have them.
 */
export const outboxRelay = pgTable(
  'outbox_relay',
  {
    isOnlyRow: boolean('is_only_row').primaryKey().default(true),
    brokerIdentity: text('broker_identity').notNull(),
    updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [check('outbox_relay_single_row', sql`${table.isOnlyRow}`)],
);
