import { sql } from 'drizzle-orm';
import { check, index, integer, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';

/**
 * Registrations that were asked for with an `Idempotency-Key`. A row is written with its user and holds what is needed
 * to recognise a retry, nothing that could be used: no key, no token, no password and no hash of one. The session is
 * no foreign key: a retry that comes after the account was deleted must not make it again.
 */
export const registrationKeys = pgTable(
  'registration_keys',
  {
    /** HMAC of the client's key. */
    keyMac: text('key_mac').primaryKey(),
    /** HMAC of everything in the request but the password, together with the key. */
    requestMac: text('request_mac').notNull(),
    /** The session whose tokens were the answer. */
    sessionId: uuid('session_id').notNull(),
    /** How many retries were looked at; bounds the passwords that somebody who has the key can try. */
    retryCount: integer('retry_count').notNull().default(0),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [
    index('registration_keys_created_at_index').on(table.createdAt),
    check('registration_keys_retry_count_positive', sql`${table.retryCount} >= 0`),
  ],
);
