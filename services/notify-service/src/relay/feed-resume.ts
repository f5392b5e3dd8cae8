import { encodeFeedCursor, parseCursor, type RecoveryFailure, type StreamPosition } from '@infrasignal/shared';
import type { HubEvent } from '../hub/ports.ts';
import type { EventDecoder } from './event-decoder.ts';
import { JoinAbandonedError, type JoinPlan, type LogView, type ResumeLimits } from './resume.ts';
import type { StreamMessage } from './stream-message.ts';
import type { StreamReader } from './stream-reader.ts';

/** Reads under way at once for one resume: the broker answers them together, and others are not kept waiting. */
const READS_AT_ONCE = 64;

export interface FeedJoin {
  /** What the client gave as `after`; null when it gave nothing. */
  readonly after: string | null;
  readonly log: LogView;
  /** False as soon as the socket is gone. */
  readonly isWanted: () => boolean;
}

/**
 * Joins a socket to the feed of everything. Its order is the stream's, so its cursor is a place in the stream, and is
 * believed only if the stream still holds that event there.
 */
export class FeedResume {
  readonly #reader: StreamReader;
  readonly #decoder: EventDecoder;
  readonly #limits: ResumeLimits;

  constructor(reader: StreamReader, decoder: EventDecoder, limits: ResumeLimits) {
    this.#reader = reader;
    this.#decoder = decoder;
    this.#limits = limits;
  }

  /** @throws StreamUnreadableError, JoinAbandonedError */
  async join(join: FeedJoin): Promise<JoinPlan> {
    const { after, log } = join;
    if (after === null) return this.#fromNow(log, null);
    const cursor = parseCursor(after);
    if (cursor?.kind !== 'feed') return this.#fromNow(log, 'unknown_cursor');
    const { position } = cursor;
    const failure = await this.#check(position, log);
    if (failure !== null) return this.#fromNow(log, failure);
    const events = await this.#read(join, position.sequence + 1);
    if (typeof events === 'string') return this.#fromNow(log, events);
    return {
      seq: null,
      cursor: encodeFeedCursor(position),
      failure: null,
      replay: events,
      lastSeq: null,
      seenThrough: position.sequence,
    };
  }

  #fromNow(log: LogView, failure: RecoveryFailure | null): JoinPlan {
    return { seq: null, cursor: encodeFeedCursor(log.anchor), failure, replay: [], lastSeq: null, seenThrough: 0 };
  }

  /** Whether the log after this place is the one that the client has not seen, and all of it. */
  async #check(position: StreamPosition, log: LogView): Promise<RecoveryFailure | null> {
    if (position.sequence === 0) {
      const isFromTheStart = position.eventId === '' && (log.readThrough === 0 || (await this.#findAt(1)) !== null);
      return isFromTheStart ? null : 'evicted';
    }
    const message = await this.#findAt(position.sequence);
    if (message === null) {
      const { firstSequence } = await this.#reader.getState();
      return position.sequence < firstSequence ? 'evicted' : 'unknown_cursor';
    }
    const decoded = this.#decoder.decode(message);
    return decoded.ok && decoded.event.position.eventId === position.eventId ? null : 'unknown_cursor';
  }

  async #findAt(sequence: number): Promise<StreamMessage | null> {
    return (await this.#reader.findAt(sequence)) ?? this.#reader.findAtLeader(sequence);
  }

  /** Everything up to where this node had read when the socket was registered: from there on it listens itself. */
  async #read({ log, isWanted }: FeedJoin, fromSequence: number): Promise<readonly HubEvent[] | RecoveryFailure> {
    const { eventsMax, bytesMax } = this.#limits;
    if (log.readThrough - fromSequence + 1 > eventsMax) return 'limit';
    const events: HubEvent[] = [];
    const newestByUser = new Map<number, number>();
    let bytes = 0;
    for (let next = fromSequence; next <= log.readThrough; next += READS_AT_ONCE) {
      if (!isWanted()) throw new JoinAbandonedError();
      const count = Math.min(READS_AT_ONCE, log.readThrough - next + 1);
      const messages = await Promise.all(Array.from({ length: count }, (_, at) => this.#findAt(next + at)));
      for (const message of messages) {
        if (message === null) return 'evicted';
        bytes += message.data.byteLength;
        if (bytes > bytesMax) return 'limit';
        const decoded = this.#decoder.decode(message);
        if (!decoded.ok) continue;
        const { event } = decoded;
        // After the broker lost data, an event can be stored twice: its user's counter tells.
        if (event.seq <= (newestByUser.get(event.userId) ?? 0)) continue;
        newestByUser.set(event.userId, event.seq);
        events.push(event);
      }
    }
    return events;
  }
}
