import { sql } from 'drizzle-orm';
import { bigint, index, jsonb, pgTable, text, timestamp, unique, uuid } from 'drizzle-orm/pg-core';

/**
 * Events that were committed together with the change they tell of. `user_id` is no foreign key: the event of a
 * deletion outlives its user.
 */
export const outbox = pgTable(
  'outbox',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    eventId: uuid('event_id').notNull().unique('outbox_event_id_unique'),
    userId: bigint('user_id', { mode: 'number' }).notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    type: text('type').notNull(),
    dataVersion: bigint('data_version', { mode: 'number' }).notNull().default(1),
    /** The trace of the request that wrote it (W3C Trace Context); null: there was no request. */
    traceparent: text('traceparent'),
    payload: jsonb('payload').notNull().$type<Record<string, unknown>>(),
    /** The wall clock at the insert, not the statement's start: it rises with `seq` also behind a row lock. */
    createdAt: timestamp('created_at', { withTimezone: true })
      .notNull()
      .default(sql`clock_timestamp()`),
    /** When the broker acknowledged it; null: still to be published. */
    publishedAt: timestamp('published_at', { withTimezone: true }),
  },
  (table) => [
    unique('outbox_user_id_seq_unique').on(table.userId, table.seq),
    index('outbox_unpublished_index').on(table.id).where(sql`${table.publishedAt} is null`),
    index('outbox_published_at_index').on(table.publishedAt).where(sql`${table.publishedAt} is not null`),
  ],
);
