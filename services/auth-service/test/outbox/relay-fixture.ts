import { idOnlyTracer } from '@infrasignal/service-kit';
import { DUPLICATE_WINDOW_SECONDS, EVENTS_STREAM_NAME, type EventEnvelope } from '@infrasignal/shared';
import { readStream, startTestNats, type StreamMessage, type TestDatabase, type TestNats } from '@infrasignal/testkit';
import Fastify, { type FastifyBaseLogger } from 'fastify';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { OutboxRelay, type OutboxRelayOptions } from '../../src/outbox/outbox-relay.ts';
import { createAuthDatabase, type TestContext } from '../auth-fixture.ts';

export interface RelayFixture {
  readonly database: TestDatabase;
  readonly nats: TestNats;
  /** Starts one more relay on the same database and broker, as another instance of the service would. */
  readonly startRelay: (changes?: Partial<OutboxRelayOptions>) => OutboxRelay;
  /** What the stream holds, in its order. */
  readonly stored: () => Promise<StreamMessage<EventEnvelope>[]>;
}

const silent: FastifyBaseLogger = Fastify({ logger: false }).log;

/** A database and a broker; no relay yet, so that a test can arrange what it finds. */
export async function createRelayFixture(t: TestContext): Promise<RelayFixture> {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  return {
    database,
    nats,
    startRelay: (changes) => {
      const pool = new pg.Pool({ connectionString: database.url, max: 4 });
      pool.on('error', () => undefined);
      const relay = new OutboxRelay({
        pool,
        databaseUrl: database.url,
        natsUrl: nats.url,
        streamReplicas: 1,
        duplicateWindowSeconds: DUPLICATE_WINDOW_SECONDS,
        leaderTimeoutSeconds: 10,
        tracer: idOnlyTracer,
        log: silent,
        ...changes,
      });
      t.teardown(async () => {
        await relay.stop();
        await pool.end();
      });
      relay.start();
      return relay;
    },
    stored: () => readStream<EventEnvelope>({ url: nats.url, stream: EVENTS_STREAM_NAME }).catch(() => []),
  };
}

export interface NewRow {
  readonly userId: number;
  readonly seq: number;
  readonly eventId?: string;
  /** How long ago it was committed, in seconds. */
  readonly ageSeconds?: number;
  readonly payload?: Record<string, unknown>;
  readonly type?: string;
}

/** Commits one event as a feature would have. @returns its event id */
export async function commitRow(database: TestDatabase, row: NewRow): Promise<string> {
  const eventId = row.eventId ?? randomUUID();
  const payload = row.payload ?? { user_id: row.userId, phone_number: '0123456789' };
  await database.query(
    `insert into outbox (event_id, user_id, seq, type, payload, created_at)
     values ($1, $2, $3, $6, $4, clock_timestamp() - make_interval(secs => $5))`,
    [eventId, row.userId, row.seq, payload, row.ageSeconds ?? 0, row.type ?? 'user.login'],
  );
  return eventId;
}

/** `user:seq` of every stored message, in the stream's order; what is for everybody has no user. */
export function placesOf(messages: readonly StreamMessage<EventEnvelope>[]): string[] {
  return messages.map(({ data }) => `${data.subject.replace(/^(?:users\/|broadcasts$)/, '')}:${data.seq}`);
}

export async function countUnpublished(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'select count(*)::int as count from outbox where published_at is null',
  );
  return row?.count ?? -1;
}
