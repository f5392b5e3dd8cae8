import {
  ALL_PRESENCE,
  isUserId,
  PRESENCE_STREAM,
  PRESENCE_STREAM_NAME,
  presenceSubject,
  toPresenceEnvelope,
  userOffline,
  userOnline,
  type PresenceEventEnvelope,
} from '@infrasignal/shared';
import {
  jetstream,
  jetstreamManager,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { ensureStream } from './ensure-stream.ts';
import type { Announced, Change } from './presence-view.ts';

/** A request takes a millisecond or two; one that takes this long is in doubt, and everything is looked at anew. */
const TIMEOUT_MS = 5_000;

const SOURCE = 'urn:infrasignal:notify-service';

/** The newest change of a user. */
export interface PresenceChange {
  readonly userId: number;
  readonly isOnline: boolean;
  readonly event: PresenceEventEnvelope;
  readonly sequence: number;
}

/** Reads a stored change; null for what is none. */
export function parsePresenceChange(subject: string, data: Uint8Array, sequence: number): PresenceChange | null {
  const userId = Number(subject.slice(subject.indexOf('.') + 1));
  if (!isUserId(userId)) return null;
  try {
    const event = JSON.parse(Buffer.from(data).toString('utf8')) as PresenceEventEnvelope;
    if (event.type !== userOnline.type && event.type !== userOffline.type) return null;
    return { userId, isOnline: event.type === userOnline.type, event, sequence };
  } catch {
    return null;
  }
}

/** The stream of changes, on one broker connection. Every method throws when there is no clear answer. */
export class PresenceLog {
  readonly #js: JetStreamClient;
  readonly #manager: JetStreamManager;

  private constructor(connection: NatsConnection, manager: JetStreamManager) {
    this.#js = jetstream(connection, { timeout: TIMEOUT_MS });
    this.#manager = manager;
  }

  static async open(connection: NatsConnection): Promise<PresenceLog> {
    // Without the library's look at the account, which is a round trip for each question of presence.
    const manager = await jetstreamManager(connection, { timeout: TIMEOUT_MS, checkAPI: false });
    return new PresenceLog(connection, manager);
  }

  async ensureStream(replicas: number): Promise<void> {
    const config = { ...PRESENCE_STREAM, subjects: [...PRESENCE_STREAM.subjects], num_replicas: replicas };
    await ensureStream(this.#manager, config);
  }

  /** The newest change of every user that the stream holds. */
  async readNewest(): Promise<Map<number, Announced>> {
    const newest = new Map<number, Announced>();
    const consumer = await this.#js.consumers.get(PRESENCE_STREAM_NAME, {
      deliver_policy: 'last_per_subject',
      filter_subjects: ALL_PRESENCE,
    });
    const { num_pending: pending } = await consumer.info();
    if (pending === 0) return newest;
    const messages = await consumer.consume();
    for await (const message of messages) {
      const change = parsePresenceChange(message.subject, message.data, message.seq);
      if (change !== null) newest.set(change.userId, { isOnline: change.isOnline, sequence: change.sequence });
      if (message.info.pending === 0) break;
    }
    await messages.close();
    return newest;
  }

  /** The newest change of one user. */
  async find(userId: number): Promise<PresenceChange | null> {
    const query = { last_by_subj: presenceSubject(userId) };
    const message = await this.#manager.direct.getMessage(PRESENCE_STREAM_NAME, query);
    return message === null ? null : parsePresenceChange(message.subject, message.data, message.seq);
  }

  /**
   * Stores a change, if the user's newest one is still the one that it was derived from.
   * @returns its position
   * @throws also when somebody else stored one meanwhile: another node keeps presence now
   */
  async append({ userId, isOnline, after }: Change): Promise<number> {
    const id = randomUUID();
    const event = toPresenceEnvelope(isOnline, { id, source: SOURCE, time: new Date().toISOString(), userId });
    const publish = (lastSubjectSequence: number): Promise<{ seq: number }> =>
      this.#js.publish(presenceSubject(userId), JSON.stringify(event), { msgID: id, expect: { lastSubjectSequence } });
    try {
      return (await publish(after)).seq;
    } catch (error) {
      const isOther = error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence;
      // The change that it was derived from may have become too old to be held.
      if (!isOther || after === 0 || (await this.#hasAny(userId))) throw error;
      return (await publish(0)).seq;
    }
  }

  /** Asked of the leader: a replica may not know yet. */
  async #hasAny(userId: number): Promise<boolean> {
    const query = { last_by_subj: presenceSubject(userId) };
    return (await this.#manager.streams.getMessage(PRESENCE_STREAM_NAME, query)) !== null;
  }
}
