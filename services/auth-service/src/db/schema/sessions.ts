import { bigint, index, integer, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { users } from './users.ts';

/** A login that has not ended: one row for its whole life, whatever the number of refreshes. Holds no token. */
export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey(),
    userId: bigint('user_id', { mode: 'number' })
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** Counter of the refresh token that is good now. */
    refreshCounter: integer('refresh_counter').notNull().default(0),
    /** When that counter was reached: the grace of the token before it counts from here. */
    rotatedAt: timestamp('rotated_at', { withTimezone: true }),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
    lastUsedAt: timestamp('last_used_at', { withTimezone: true }).notNull().defaultNow(),
    /** Moves forward with every refresh, never past `expiresAt`. */
    idleExpiresAt: timestamp('idle_expires_at', { withTimezone: true }).notNull(),
    expiresAt: timestamp('expires_at', { withTimezone: true }).notNull(),
    revokedAt: timestamp('revoked_at', { withTimezone: true }),
    userAgent: text('user_agent'),
    /** IPv4 without its last byte, IPv6 without its last 80 bits: enough to recognise, too little to track. */
    addressPrefix: text('address_prefix'),
  },
  (table) => [index('sessions_user_id_index').on(table.userId)],
);
