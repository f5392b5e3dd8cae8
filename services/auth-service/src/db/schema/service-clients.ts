import { bigint, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import { sessions } from './sessions.ts';
import { users } from './users.ts';

/** Credentials of another team's service. Its rights are the scopes of its user, its revocation that of its session. */
export const serviceClients = pgTable('service_clients', {
  /** What the service sends as `client_id`. */
  id: uuid('id').primaryKey(),
  userId: bigint('user_id', { mode: 'number' })
    .notNull()
    .unique('service_clients_user_id_unique')
    .references(() => users.id, { onDelete: 'cascade' }),
  /** The one session that all its access tokens belong to. */
  sessionId: uuid('session_id')
    .notNull()
    .references(() => sessions.id, { onDelete: 'cascade' }),
  /** SHA-256 of the secret: 256 random bits need no slow hash. */
  secretHash: text('secret_hash').notNull(),
  /** The secret before the last rotation, good until `previousSecretExpiresAt`. */
  previousSecretHash: text('previous_secret_hash'),
  previousSecretExpiresAt: timestamp('previous_secret_expires_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  lastUsedAt: timestamp('last_used_at', { withTimezone: true }),
});
