import { sql } from 'drizzle-orm';
import { check, index, integer, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * Failed logins in a row, per account and where they come from. Also of numbers that have no account: what is counted
 * only for accounts would tell which numbers have one. No number stands here, and nothing that leads to one without
 * SECRET_KEY.
 */
export const loginFailures = pgTable(
  'login_failures',
  {
    /** HMAC of the E.164 number. */
    accountKey: text('account_key').notNull(),
    /** HMAC of a device or a session that is known; empty: everybody else, together. */
    sourceKey: text('source_key').notNull(),
    /** Attempts since the last success, those whose password is being looked at included. */
    failures: integer('failures').notNull(),
    /** No attempt before. */
    blockedUntil: timestamp('blocked_until', { withTimezone: true }).notNull(),
    /** The row means nothing from here on. */
    expiresAt: timestamp('expires_at', { withTimezone: true }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.accountKey, table.sourceKey] }),
    index('login_failures_expires_at_index').on(table.expiresAt),
    check('login_failures_positive', sql`${table.failures} >= 0`),
  ],
);
