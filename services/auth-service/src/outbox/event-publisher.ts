import {
  broadcastSubject,
  dataSchemaUri,
  eventSubject,
  EVENTS_STREAM,
  EVENTS_STREAM_NAME,
} from '@infrasignal/shared';
import type { EventEnvelope } from '@infrasignal/shared';
import {
  jetstream,
  jetstreamManager,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type StreamInfo,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { isDeepStrictEqual } from 'node:util';
import { currentAgeSeconds, type OutboxRow } from './outbox-repository.ts';
import { BROADCAST_LOG_ID } from './outbox-writer.ts';

/** How long an acknowledgement may take; a timeout leaves the publish in doubt, and it is tried again. */
const ACK_TIMEOUT_MS = 5_000;

/**
 * How long any other answer may take. A cluster that has lost its leader answers nothing for some seconds, and whoever
 * asked just before its return keeps all new events waiting for this long. Shorter fails over a slow link.
 */
const REQUEST_TIMEOUT_MS = 1_500;

/**
 * Rows older than half the duplicate window are looked up before they are published: the other half is the margin for
 * a publish that takes its time and for clocks that differ.
 */
const LOOKUP_SHARE = 0.5;

const NANOSECONDS_PER_SECOND = 1_000_000_000;

export interface StreamChoices {
  readonly replicas: number;
  /** How long the broker recognises an event's id as already stored, in seconds. */
  readonly duplicateWindowSeconds: number;
}

type WantedStream = Omit<typeof EVENTS_STREAM, 'subjects' | 'duplicate_window'> & {
  readonly subjects: string[];
  readonly duplicate_window: number;
  readonly num_replicas: number;
};

const SOURCE = 'urn:infrasignal:auth-service';

/** The row as the CloudEvents envelope that everybody downstream reads. */
export function toEnvelope(row: OutboxRow): EventEnvelope {
  return {
    specversion: '1.0',
    id: row.eventId,
    source: SOURCE,
    type: row.type,
    subject: row.userId === BROADCAST_LOG_ID ? 'broadcasts' : `users/${row.userId}`,
    time: row.createdAt.toISOString(),
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri({ type: row.type, version: row.dataVersion }),
    seq: row.seq,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent }),
    data: row.payload,
  };
}

function toSubject({ userId, type }: OutboxRow): string {
  return userId === BROADCAST_LOG_ID ? broadcastSubject(type) : eventSubject(userId, type);
}

/** The broker takes a message for the repeat of one that it does not hold yet, and perhaps never will. */
export class UnstoredRepeatError extends Error {
  constructor() {
    super('the broker calls the event a repeat of one that it has not stored');
    this.name = 'UnstoredRepeatError';
  }
}

/** Publishes rows on one broker connection, for one epoch. */
export class EventPublisher {
  readonly #js: JetStreamClient;
  readonly #manager: JetStreamManager;
  readonly #connection: NatsConnection;
  readonly #choices: StreamChoices;

  private constructor(connection: NatsConnection, manager: JetStreamManager, choices: StreamChoices) {
    this.#connection = connection;
    this.#choices = choices;
    this.#js = jetstream(connection, { timeout: ACK_TIMEOUT_MS });
    this.#manager = manager;
  }

  static async create(connection: NatsConnection, choices: StreamChoices): Promise<EventPublisher> {
    // Without the library's look at the account: one question more that a cluster without a leader does not answer.
    const options = { timeout: REQUEST_TIMEOUT_MS, checkAPI: false };
    return new EventPublisher(connection, await jetstreamManager(connection, options), choices);
  }

  /**
   * Creates the stream, or brings its configuration to ours.
   * @returns the broker's identity: it changes when the server was restarted or the stream made anew
   */
  async ensureStream(): Promise<string> {
    const { duplicateWindowSeconds, replicas } = this.#choices;
    const config = {
      ...EVENTS_STREAM,
      subjects: [...EVENTS_STREAM.subjects],
      duplicate_window: duplicateWindowSeconds * NANOSECONDS_PER_SECOND,
      num_replicas: replicas,
    };
    const { created } = await this.#bringStreamTo(config);
    return `${this.#connection.info?.server_id ?? ''} ${String(created)}`;
  }

  /**
   * An update changes more than it says: a nats-server that was restarted since the stream was made then gives it
   * another creation time, and every reader takes it for another stream. Hence none where none is needed. Subjects
   * are never taken away: while two releases run side by side, each of their relays would undo the other's.
   */
  async #bringStreamTo(wanted: WantedStream): Promise<StreamInfo> {
    const { streams } = this.#manager;
    try {
      const info = await streams.info(EVENTS_STREAM_NAME);
      const config = { ...wanted, subjects: [...new Set([...info.config.subjects, ...wanted.subjects])] };
      const isAsWanted = Object.entries(config).every(([key, value]) =>
        isDeepStrictEqual(info.config[key as keyof WantedStream], value),
      );
      return isAsWanted ? info : await streams.update(EVENTS_STREAM_NAME, config);
    } catch (error) {
      const isMissing = error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
      if (!isMissing) throw error;
      return streams.add(wanted);
    }
  }

  /**
   * Stores one row, or finds that it is stored. Resolves only when the broker has it.
   * @throws on every doubt: timeout, lost connection, any error of the broker
   */
  async store(row: OutboxRow): Promise<void> {
    const subject = toSubject(row);
    const isInDoubt = currentAgeSeconds(row) > this.#choices.duplicateWindowSeconds * LOOKUP_SHARE;
    if (isInDoubt && (await this.#isStored(subject, row.seq))) return;
    const options = { msgID: row.eventId, timeout: ACK_TIMEOUT_MS };
    const { seq } = await this.#js.publish(subject, JSON.stringify(toEnvelope(row)), options);
    // A leader of a cluster that stood still, or lost its followers, answers so for what it has proposed itself, and may
    // never store: it is a repeat to it, of nothing that has a place. nats-server 2.11 and later refuse instead.
    if (seq === 0) throw new UnstoredRepeatError();
  }

  /** True if the newest message on the subject is this row's or a later one; one subject's messages rise in `seq`. */
  async #isStored(subject: string, seq: number): Promise<boolean> {
    const newest = await this.#manager.streams.getMessage(EVENTS_STREAM_NAME, { last_by_subj: subject });
    return newest !== null && newest.json<Pick<EventEnvelope, 'seq'>>().seq >= seq;
  }
}
