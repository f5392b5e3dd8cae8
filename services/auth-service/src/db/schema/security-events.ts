import { sql } from 'drizzle-orm';
import { bigint, index, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';

/** Signs of attacks, for operators: they are no user's events and have a sequence of their own. */
export const securityEvents = pgTable(
  'security_events',
  {
    /** From 1, without a gap. */
    seq: bigint('seq', { mode: 'number' }).primaryKey(),
    eventId: uuid('event_id').notNull().unique('security_events_event_id_unique'),
    type: text('type').notNull(),
    data: jsonb('data').notNull().$type<Record<string, unknown>>(),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
    /** When the broker acknowledged it; null: still to be published. */
    publishedAt: timestamp('published_at', { withTimezone: true }),
  },
  (table) => [index('security_events_unpublished_index').on(table.seq).where(sql`${table.publishedAt} is null`)],
);
