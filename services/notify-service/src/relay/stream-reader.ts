import { ALL_BROADCASTS, ALL_SESSION_REVOCATIONS, EVENTS_STREAM_NAME, userEventsFilter } from '@infrasignal/shared';
import { jetstreamManager, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Broker } from '@infrasignal/service-kit';
import { canReadBatches, readBatch } from './batch-read.ts';
import type { BrokerRead } from './read-stats.ts';
import type { StreamMessage } from './stream-message.ts';

/** A read takes a quarter of a millisecond; one that takes this long is not going to answer. */
const READ_TIMEOUT_MS = 2_000;

/** The broker could not be asked: nothing is known about what is in the stream. */
export class StreamUnreadableError extends Error {
  constructor(options: { readonly cause?: unknown } = {}) {
    super('the event stream cannot be read now', options);
    this.name = 'StreamUnreadableError';
  }
}

/** What the stream says of itself. */
export interface StreamState {
  /** When it was created, as RFC 3339 text: another time means another stream under the same name. */
  readonly createdAt: string;
  /** The oldest position that is held; one past the newest when the stream is empty. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** When the broker said this, by its own clock, in milliseconds since 1970; not told by nats-server before 2.10. */
  readonly brokerTimeMs?: number;
}

function toMessage(stored: StoredMsg | null): StreamMessage | null {
  if (stored === null) return null;
  return { subject: stored.subject, data: stored.data, sequence: stored.seq, storedAtMs: stored.time.getTime() };
}

interface Link {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

/** The reads, whoever makes them. */
export type StreamReads = Pick<StreamReader, keyof StreamReader>;

/** How a read is counted. */
type Count = (read: BrokerRead) => void;

/**
 * Reads of the event stream, each a request to the broker. `find…` may be answered by any replica, which can lag
 * behind by some milliseconds; `…AtLeader` cannot, and costs the leader's time: it is for answers that must know of
 * everything that was stored before they were asked.
 *
 * @throws StreamUnreadableError from every method, when there is no answer.
 */
export class StreamReader {
  readonly #broker: Broker;
  readonly #count: Count;
  readonly #managers = new WeakMap<NatsConnection, Promise<JetStreamManager>>();

  /** @param count told of each request before it is sent */
  constructor(broker: Broker, count: Count) {
    this.#broker = broker;
    this.#count = count;
  }

  /** True if one request brings many messages: `findFollowing` then is worth asking for many at once. */
  get readsBatches(): boolean {
    const { connection } = this.#broker;
    return connection !== null && canReadBatches(connection);
  }

  /** The newest message of a user. */
  findNewestAtLeader(userId: number): Promise<StreamMessage | null> {
    return this.#findLastAtLeader(userEventsFilter(userId));
  }

  /** The newest message for everybody. */
  findNewestBroadcastAtLeader(): Promise<StreamMessage | null> {
    return this.#findLastAtLeader(ALL_BROADCASTS);
  }

  /** The newest end of anybody's session. */
  findNewestRevocationAtLeader(): Promise<StreamMessage | null> {
    return this.#findLastAtLeader(ALL_SESSION_REVOCATIONS);
  }

  #findLastAtLeader(filter: string): Promise<StreamMessage | null> {
    const query = { last_by_subj: filter };
    return this.#ask('newest', async ({ manager }) =>
      toMessage(await manager.streams.getMessage(EVENTS_STREAM_NAME, query)),
    );
  }

  /** The first message of a user at or after a position. */
  findNext(userId: number, fromSequence: number): Promise<StreamMessage | null> {
    const query = { seq: fromSequence, next_by_subj: userEventsFilter(userId) };
    return this.#ask('next', async ({ manager }) =>
      toMessage(await manager.direct.getMessage(EVENTS_STREAM_NAME, query)),
    );
  }

  findNextAtLeader(userId: number, fromSequence: number): Promise<StreamMessage | null> {
    const query = { seq: fromSequence, next_by_subj: userEventsFilter(userId) };
    return this.#ask('next', async ({ manager }) =>
      toMessage(await manager.streams.getMessage(EVENTS_STREAM_NAME, query)),
    );
  }

  /** Messages at or after a position, of one user or (null) of all, in order; only with `readsBatches`. */
  readBatch(userId: number | null, fromSequence: number, countMax: number): Promise<StreamMessage[]> {
    const filter = userId === null ? null : userEventsFilter(userId);
    return this.#ask('batch', ({ connection }) =>
      readBatch(connection, { fromSequence, filter, countMax }, READ_TIMEOUT_MS),
    );
  }

  /** The message at a position. */
  findAt(sequence: number): Promise<StreamMessage | null> {
    const query = { seq: sequence };
    return this.#ask('at', async ({ manager }) =>
      toMessage(await manager.direct.getMessage(EVENTS_STREAM_NAME, query)),
    );
  }

  findAtLeader(sequence: number): Promise<StreamMessage | null> {
    const query = { seq: sequence };
    return this.#ask('at', async ({ manager }) =>
      toMessage(await manager.streams.getMessage(EVENTS_STREAM_NAME, query)),
    );
  }

  /** Asked of the leader. */
  getState(): Promise<StreamState> {
    return this.#ask('state', async ({ manager }) => {
      const { created, state, ts } = await manager.streams.info(EVENTS_STREAM_NAME);
      return {
        createdAt: created,
        firstSequence: state.first_seq,
        lastSequence: state.last_seq,
        ...(ts === undefined ? {} : { brokerTimeMs: Date.parse(ts) }),
      };
    });
  }

  async #ask<Answer>(read: BrokerRead, question: (link: Link) => Promise<Answer>): Promise<Answer> {
    const { connection } = this.#broker;
    if (connection === null) throw new StreamUnreadableError();
    this.#count(read);
    try {
      return await question({ connection, manager: await this.#managerOf(connection) });
    } catch (error) {
      throw new StreamUnreadableError({ cause: error });
    }
  }

  #managerOf(connection: NatsConnection): Promise<JetStreamManager> {
    let manager = this.#managers.get(connection);
    if (manager === undefined) {
      // checkAPI would ask the broker for its limits first: one more thing that can fail while it starts.
      manager = jetstreamManager(connection, { timeout: READ_TIMEOUT_MS, checkAPI: false });
      this.#managers.set(connection, manager);
    }
    return manager;
  }
}
