import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, pgTable, text, timestamp, unique, uuid } from 'drizzle-orm/pg-core';

/** One row: the newest `seq` of what was sent to everybody. Taken under this row's lock, so it has no gaps. */
export const broadcastLog = pgTable(
  'broadcast_log',
  {
    isOnlyRow: boolean('is_only_row').primaryKey().default(true),
    eventSeq: bigint('event_seq', { mode: 'number' }).notNull(),
  },
  (table) => [
    check('broadcast_log_single_row', sql`${table.isOnlyRow}`),
    check('broadcast_log_event_seq_positive', sql`${table.eventSeq} >= 0`),
  ],
);

/**
 * Notifications that services sent, for as long as a retry is recognised. What was sent is in the outbox; here is only
 * what recognises the retry and what it is answered. The sender is no foreign key: its row is not to be locked here.
 */
export const sentNotifications = pgTable(
  'sent_notifications',
  {
    id: uuid('id').primaryKey(),
    senderId: bigint('sender_id', { mode: 'number' }).notNull(),
    idempotencyKey: text('idempotency_key').notNull(),
    /** SHA-256 of the request's body. */
    requestHash: text('request_hash').notNull(),
    /** Null: everybody. */
    recipientCount: integer('recipient_count'),
    unknownUserIds: bigint('unknown_user_ids', { mode: 'number' })
      .array()
      .notNull()
      .default(sql`'{}'`),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [
    unique('sent_notifications_sender_id_key_unique').on(table.senderId, table.idempotencyKey),
    index('sent_notifications_created_at_index').on(table.createdAt),
  ],
);

/** What each sender has sent within the minute of its last request. */
export const notificationAllowances = pgTable('notification_allowances', {
  senderId: bigint('sender_id', { mode: 'number' }).primaryKey(),
  /** Start of that minute. */
  minute: timestamp('minute', { withTimezone: true }).notNull(),
  recipientCount: integer('recipient_count').notNull(),
  broadcastCount: integer('broadcast_count').notNull(),
});
