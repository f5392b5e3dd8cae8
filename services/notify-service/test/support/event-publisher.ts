import {
  broadcastSubject,
  dataSchemaUri,
  eventSubject,
  EVENTS_STREAM,
  EVENTS_STREAM_NAME,
  userLogin,
  type EventEnvelope,
} from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstream, jetstreamManager, type JetStreamClient } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';

/** In place of a user's id: what is for everybody. */
const EVERYBODY = 0;

export const NEWS = 'app.news';

interface Teardown {
  teardown(handler: () => unknown): unknown;
}

export interface PublishedEvent {
  readonly id: string;
  readonly userId: number;
  readonly seq: number;
  /** Where the stream stored it. */
  readonly position: number;
}

export interface EventOptions {
  readonly type?: string;
  readonly version?: number;
  readonly data?: Record<string, unknown>;
  /** The `seq` to carry instead of the user's next one. */
  readonly seq?: number;
  readonly id?: string;
}

/** Stands for the outbox relay of auth-service: valid envelopes, one user's in order, retried until acknowledged. */
export class EventPublisher {
  readonly connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #seqs = new Map<number, number>();

  private constructor(connection: NatsConnection) {
    this.connection = connection;
    this.#client = jetstream(connection, { timeout: 500 });
  }

  /**
   * Connects, and creates the stream as auth-service would.
   * @param url one or several, comma-separated
   */
  static async start(t: Teardown, url: string, replicas = 1): Promise<EventPublisher> {
    const servers = url.split(',');
    // With the library's 20 s, a broker that is killed while it greets would silence this publisher for as long.
    const connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100, timeout: 1_000 });
    t.teardown(() => connection.close());
    // A cluster that has just started may not know yet where to put the copies.
    await waitFor(async () => (await createEventsStream(connection, replicas), true));
    return new EventPublisher(connection);
  }

  /** The envelope of a user's next event, which counts as given out. */
  envelope(userId: number, options: EventOptions = {}): EventEnvelope {
    const { type = userLogin.type, version = 1, data, seq, id } = options;
    const next = seq ?? this.lastSeq(userId) + 1;
    this.#seqs.set(userId, Math.max(next, this.lastSeq(userId)));
    return {
      specversion: '1.0',
      id: id ?? randomUUID(),
      source: 'infrasignal/auth-service',
      type,
      subject: userId === EVERYBODY ? 'broadcasts' : `users/${userId}`,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      dataschema: dataSchemaUri({ type, version }),
      seq: next,
      data: data ?? { user_id: userId, phone_number: `01${String(userId).padStart(8, '0')}` },
    };
  }

  lastSeq(userId: number): number {
    return this.#seqs.get(userId) ?? 0;
  }

  /** Publishes until the broker has acknowledged it. */
  async publish(userId: number, options: EventOptions = {}): Promise<PublishedEvent> {
    const envelope = this.envelope(userId, options);
    const subject = eventSubject(userId, options.type ?? userLogin.type);
    const position = await this.#store(subject, JSON.stringify(envelope), envelope.id);
    return { id: envelope.id, userId, seq: envelope.seq, position };
  }

  /** The same for what is for everybody, with its number as its data. */
  async broadcast(options: Pick<EventOptions, 'seq' | 'id'> = {}): Promise<PublishedEvent> {
    const number = options.seq ?? this.lastBroadcastSeq + 1;
    const data = {
      notification_id: randomUUID(),
      user_id: null,
      phone_number: null,
      messages: { fr: `Nouvelle n° ${number}`, en: `News no. ${number}` },
      data: { number },
    };
    const envelope = this.envelope(EVERYBODY, { ...options, type: NEWS, data });
    const position = await this.#store(broadcastSubject(NEWS), JSON.stringify(envelope), envelope.id);
    return { id: envelope.id, userId: EVERYBODY, seq: envelope.seq, position };
  }

  get lastBroadcastSeq(): number {
    return this.lastSeq(EVERYBODY);
  }

  async publishMany(userId: number, count: number): Promise<PublishedEvent[]> {
    const published: PublishedEvent[] = [];
    for (let at = 0; at < count; at += 1) published.push(await this.publish(userId));
    return published;
  }

  /** Publishes anything at all. */
  async publishRaw(subject: string, body: string): Promise<number> {
    return this.#store(subject, body, randomUUID());
  }

  async #store(subject: string, body: string, id: string): Promise<number> {
    for (;;) {
      try {
        const { seq } = await this.#client.publish(subject, body, { msgID: id });
        return seq;
      } catch (error) {
        if (this.connection.isClosed()) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

/** Creates the stream on this broker. */
export async function createEventsStream(connection: NatsConnection, replicas = 1): Promise<void> {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], num_replicas: replicas });
}

export async function deleteEventsStream(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection);
  await manager.streams.delete(EVENTS_STREAM_NAME);
}
