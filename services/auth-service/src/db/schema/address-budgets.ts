import { index, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * What an address used up of what it may do: each use moves `spent_until` on by the time that one use takes to come
 * back. How far it lies ahead is how much is used.
 */
export const addressBudgets = pgTable(
  'address_budgets',
  {
    /** HMAC of the address and of what the budget is for. */
    key: text('key').primaryKey(),
    /** The row means nothing from here on. */
    spentUntil: timestamp('spent_until', { withTimezone: true }).notNull(),
  },
  (table) => [index('address_budgets_spent_until_index').on(table.spentUntil)],
);
