import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import { securityEvents } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';

export interface StoredSecurityEvent {
  readonly seq: number;
  readonly eventId: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
  readonly createdAt: Date;
}

/** One sweep's worth: far more than are ever due, and bounded all the same. */
const SWEEP_EVENTS_MAX = 100;

/** A year: what an investigation wants to look back on. */
const RETENTION_DAYS = 365;

/** @throws a unique violation when another instance took the number at the same moment */
export async function insertSecurityEvent(db: Database, type: string, data: Record<string, unknown>): Promise<void> {
  await db.execute(sql`
    insert into ${securityEvents} (seq, event_id, type, data)
    select coalesce(max(seq), 0) + 1, gen_random_uuid(), ${type}, ${JSON.stringify(data)}::jsonb from ${securityEvents}`);
}

/** What the broker does not have yet, in order. */
export async function findUnpublishedEvents(db: Database): Promise<StoredSecurityEvent[]> {
  return db
    .select({
      seq: securityEvents.seq,
      eventId: securityEvents.eventId,
      type: securityEvents.type,
      data: securityEvents.data,
      createdAt: securityEvents.createdAt,
    })
    .from(securityEvents)
    .where(isNull(securityEvents.publishedAt))
    .orderBy(asc(securityEvents.seq))
    .limit(SWEEP_EVENTS_MAX);
}

export async function markPublished(db: Database, seq: number): Promise<void> {
  await db
    .update(securityEvents)
    .set({ publishedAt: sql`now()` })
    .where(and(eq(securityEvents.seq, seq), isNull(securityEvents.publishedAt)));
}

/** Removes what is old and published; never the newest, which is where the numbers go on. */
export async function deleteOldEvents(db: Database): Promise<void> {
  await db.execute(sql`
    delete from ${securityEvents} where published_at < now() - make_interval(days => ${RETENTION_DAYS})
      and seq < (select max(seq) from ${securityEvents})`);
}
