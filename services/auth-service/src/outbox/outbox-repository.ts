import type pg from 'pg';

/** One committed event, as the relay reads it. */
export interface OutboxRow {
  readonly id: number;
  readonly eventId: string;
  readonly userId: number;
  readonly seq: number;
  readonly type: string;
  readonly dataVersion: number;
  /** The trace of the request that wrote it, as W3C Trace Context spells it. */
  readonly traceparent: string | null;
  readonly payload: Record<string, unknown>;
  readonly createdAt: Date;
  /** Seconds since the row was committed or last known to be stored, by the database's clock, when it was read. */
  readonly ageSeconds: number;
  /** When that was, by the monotonic clock of this process, in milliseconds. */
  readonly readAtMs: number;
}

/** The age now: a row may lie here for as long as the process stands still, or the broker takes for those before it. */
export function currentAgeSeconds({ ageSeconds, readAtMs }: Pick<OutboxRow, 'ageSeconds' | 'readAtMs'>): number {
  return ageSeconds + (performance.now() - readAtMs) / 1_000;
}

export interface OutboxBacklog {
  readonly count: number;
  /** Age of the oldest unpublished row in seconds; 0 when there is none. */
  readonly oldestAgeSeconds: number;
}

const COLUMNS = `id::float8 as "id", event_id as "eventId", user_id::float8 as "userId", seq::float8 as "seq", type,
  data_version::int as "dataVersion", traceparent, payload, created_at as "createdAt",
  extract(epoch from clock_timestamp() - coalesce(published_at, created_at))::float8 as "ageSeconds"`;

async function readRows(pool: pg.Pool, statement: string, values: readonly unknown[]): Promise<OutboxRow[]> {
  // Before it is sent: an age that is too high costs a look-up, one that is too low a repeat.
  const readAtMs = performance.now();
  const { rows } = await pool.query<Omit<OutboxRow, 'readAtMs'>>(statement, [...values]);
  return rows.map((row) => ({ ...row, readAtMs }));
}

/** What is due in the database, and not to be read now. */
export interface LeftOut {
  readonly heldUserIds: readonly number[];
  /** Ids of rows that are being published or marked. */
  readonly inHandIds: readonly number[];
}

/** Rows due for publishing, oldest first. */
export async function findUnpublished(
  pool: pg.Pool,
  limit: number,
  { heldUserIds, inHandIds }: LeftOut,
): Promise<OutboxRow[]> {
  return readRows(
    pool,
    `select ${COLUMNS} from outbox
     where published_at is null and user_id <> all($2::bigint[]) and id <> all($3::bigint[]) order by id limit $1`,
    [limit, heldUserIds, inHandIds],
  );
}

/** Rows already published within the last `seconds`, after `afterId`, oldest first. */
export async function findPublishedTail(
  pool: pg.Pool,
  seconds: number,
  afterId: number,
  limit: number,
): Promise<OutboxRow[]> {
  return readRows(
    pool,
    `select ${COLUMNS} from outbox
     where published_at > clock_timestamp() - make_interval(secs => $1) and id > $2 order by id limit $3`,
    [seconds, afterId, limit],
  );
}

/** Rows of these users already published within the last `seconds`, oldest first: what they did in that time. */
export async function findPublishedTailOf(
  pool: pg.Pool,
  seconds: number,
  userIds: readonly number[],
): Promise<OutboxRow[]> {
  return readRows(
    pool,
    `select ${COLUMNS} from outbox
     where user_id = any($2::bigint[]) and published_at > clock_timestamp() - make_interval(secs => $1) order by id`,
    [seconds, userIds],
  );
}

/** Marks rows as stored by the broker. Marking twice changes nothing. */
export async function markPublished(pool: pg.Pool, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await pool.query({
    // Planned once for the connection: where events come one by one, that is more work than marking one.
    name: 'mark_published',
    text: 'update outbox set published_at = clock_timestamp() where id = any($1::bigint[]) and published_at is null',
    values: [ids],
  });
}

/** Deletes rows that were published longer ago than `seconds`, at most `limit`. @returns how many */
export async function deletePublished(pool: pg.Pool, seconds: number, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from outbox where id in (
       select id from outbox where published_at < clock_timestamp() - make_interval(secs => $1) limit $2)`,
    [seconds, limit],
  );
  return rowCount ?? 0;
}

/** The broker that the published rows are known to be on; null before the first one. */
export async function findBrokerIdentity(pool: pg.Pool): Promise<string | null> {
  const { rows } = await pool.query<{ identity: string }>('select broker_identity as identity from outbox_relay');
  return rows[0]?.identity ?? null;
}

export async function saveBrokerIdentity(pool: pg.Pool, identity: string): Promise<void> {
  await pool.query(
    `insert into outbox_relay (broker_identity) values ($1)
     on conflict (is_only_row) do update set broker_identity = excluded.broker_identity, updated_at = now()`,
    [identity],
  );
}

/** How much waits to be published, for metrics and operators. */
export async function readBacklog(pool: pg.Pool): Promise<OutboxBacklog> {
  const { rows } = await pool.query<OutboxBacklog>(
    `select count(*)::int as "count",
       coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as "oldestAgeSeconds"
     from outbox where published_at is null`,
  );
  return rows[0] ?? { count: 0, oldestAgeSeconds: 0 };
}
