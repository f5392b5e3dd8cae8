import type { EventEnvelope } from '@infrasignal/shared';
import { EVENTS_STREAM_NAME, parseEventSubject } from '@infrasignal/shared/plain';
import { readStream, type TestStack } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredEvent, StoredUser, StreamEvent } from './checks/evidence.ts';

/** What is read past the services. */
export interface Asked {
  readonly database: Pick<TestStack['database'], 'query'>;
  readonly nats: Pick<TestStack['nats'], 'url'>;
}

/** Published rows are deleted after a while; the checks need every one there ever was. */
export async function keepDeletedEvents(database: Asked['database']): Promise<void> {
  await database.query('create table deleted_outbox as select * from outbox with no data');
  await database.query(`
    create function keep_deleted_event() returns trigger language plpgsql
    as $$ begin insert into deleted_outbox select old.*; return old; end $$`);
  await database.query(
    'create trigger keep_deleted_event before delete on outbox for each row execute function keep_deleted_event()',
  );
}

/** The tables and the stream. */
interface Snapshot {
  readonly users: StoredUser[];
  readonly outbox: StoredEvent[];
  readonly stream: StreamEvent[];
}

/** The relay, which stores hundreds of events a second, comes to the next of them in less. */
const STANDSTILL_MS = 1_000;

/**
 * What the system holds when nothing more is stored. After a restart of the broker the relay publishes again what that may
 * have lost, while new events already pass: as long as less and less is missing, nothing can be said to be lost.
 * @returns with how many events were missing at first, and were not any more at the end
 */
export async function takeSettledSnapshot(asked: Asked): Promise<Snapshot & { readonly storedMeanwhile: number }> {
  let snapshot = await takeSnapshot(asked);
  const missingAtFirst = countMissing(snapshot);
  for (let missing = missingAtFirst; missing > 0; ) {
    await sleep(STANDSTILL_MS);
    snapshot = await takeSnapshot(asked);
    const before = missing;
    missing = countMissing(snapshot);
    if (missing >= before) break;
  }
  return { ...snapshot, storedMeanwhile: missingAtFirst - countMissing(snapshot) };
}

function countMissing({ outbox, stream }: Snapshot): number {
  const stored = new Set(stream.map(({ eventId }) => eventId));
  return outbox.filter(({ eventId }) => !stored.has(eventId)).length;
}

/** What the system holds now, read past the services. */
export async function takeSnapshot({ database, nats }: Asked): Promise<Snapshot> {
  const users = await database.query<StoredUser & Record<string, unknown>>(
    `select id::float8 as id, phone_number as "phoneNumber", event_seq::float8 as "eventSeq" from users order by id`,
  );
  const outbox = await database.query<StoredEvent & Record<string, unknown>>(
    `select event_id as "eventId", user_id::float8 as "userId", seq::float8 as seq, type,
       payload->>'phone_number' as "phoneNumber", (extract(epoch from created_at) * 1000)::float8 as "createdAt",
       published_at is not null as "isPublished"
     from (select * from outbox union all select * from deleted_outbox) as events order by id`,
  );
  const messages = await readStream<EventEnvelope>({ url: nats.url, stream: EVENTS_STREAM_NAME });
  const stream = messages.map(({ subject, sequence, headers, data }) => ({
    position: sequence,
    messageId: headers['Nats-Msg-Id']?.[0] ?? '',
    eventId: data.id,
    userId: parseEventSubject(subject)?.userId ?? 0,
    seq: data.seq,
    type: data.type,
  }));
  return { users, outbox, stream };
}
