import { encodeFeedCursor, parseCursor, type RecoveryFailure, type StreamPosition } from '@infrasignal/shared';
import type { Clock, HubEvent } from '../hub/ports.ts';
import { JoinAbandonedError, type JoinPlan, type LogView, type ResumeLimits } from './resume.ts';
import type { SharedReader } from './shared-reader.ts';
import { StreamUnreadableError } from './stream-reader.ts';

/** Positions that are asked for together. Smaller waits for the broker more often, larger reads on for those who left. */
const STRETCH_LENGTH = 64;

export interface FeedJoin {
  /** What the client gave as `after`; null when it gave nothing. */
  readonly after: string | null;
  readonly log: LogView;
  /** False as soon as the socket is gone. */
  readonly isWanted: () => boolean;
}

export interface FeedResumeOptions {
  readonly reader: SharedReader;
  readonly limits: ResumeLimits;
  readonly clock: Clock;
}

/**
 * Joins a socket to the feed of everything. Its order is the stream's, so its cursor is a place in the stream, and is
 * believed only if the stream still holds that event there.
 */
export class FeedResume {
  readonly #reader: SharedReader;
  readonly #limits: ResumeLimits;
  readonly #clock: Clock;

  constructor({ reader, limits, clock }: FeedResumeOptions) {
    this.#reader = reader;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** @throws StreamUnreadableError, ReadRefusedError, JoinAbandonedError */
  async join(join: FeedJoin): Promise<JoinPlan> {
    const { after, log } = join;
    if (after === null) return this.#fromNow(log, null);
    const cursor = parseCursor(after);
    if (cursor?.kind !== 'feed') return this.#fromNow(log, 'unknown_cursor');
    const { position } = cursor;
    const failure = await this.#check(position, join);
    if (failure !== null) return { ...this.#fromNow(log, failure), isInDoubt: true };
    const events = await this.#read(join, position.sequence + 1);
    if (typeof events === 'string') return { ...this.#fromNow(log, events), isInDoubt: true };
    return {
      seq: null,
      cursor: encodeFeedCursor(position),
      failure: null,
      // The recent events are of one log, and end where this node has read to.
      isInDoubt: !this.#reader.recent.covers(position.sequence),
      replay: events,
      lastSeq: null,
      broadcastSeq: log.broadcastSeq,
      seenThrough: position.sequence,
    };
  }

  #fromNow(log: LogView, failure: RecoveryFailure | null): JoinPlan {
    return {
      seq: null,
      cursor: encodeFeedCursor(log.anchor),
      failure,
      isInDoubt: false,
      replay: [],
      lastSeq: null,
      broadcastSeq: log.broadcastSeq,
      seenThrough: 0,
    };
  }

  /** Whether the log after this place is the one that the client has not seen, and all of it. */
  async #check(position: StreamPosition, join: FeedJoin): Promise<RecoveryFailure | null> {
    const { readThrough } = join.log;
    if (position.sequence === 0) {
      const isFromTheStart =
        position.eventId === '' && (readThrough === 0 || (await this.#reader.findAt(join, 1)) !== null);
      return isFromTheStart ? null : 'evicted';
    }
    const entry = await this.#reader.findAt(join, position.sequence);
    if (entry === null) {
      const { firstSequence } = await this.#reader.getState();
      return position.sequence < firstSequence ? 'evicted' : 'unknown_cursor';
    }
    const { decoded } = entry;
    return decoded.ok && decoded.event.position.eventId === position.eventId ? null : 'unknown_cursor';
  }

  /** Everything up to where this node had read when the socket was registered: from there on it listens itself. */
  async #read(join: FeedJoin, fromSequence: number): Promise<readonly HubEvent[] | RecoveryFailure> {
    const { log, isWanted } = join;
    const { eventsMax, bytesMax, durationMsMax } = this.#limits;
    const deadlineMs = this.#clock.now() + durationMsMax;
    if (log.readThrough - fromSequence + 1 > eventsMax) return 'limit';
    const events: HubEvent[] = [];
    const newestByUser = new Map<number | null, number>();
    let bytes = 0;
    for (let next = fromSequence; next <= log.readThrough; next += STRETCH_LENGTH) {
      const count = Math.min(STRETCH_LENGTH, log.readThrough - next + 1);
      const entries = await this.#reader.findRange(join, next, count);
      if (!isWanted()) throw new JoinAbandonedError();
      if (this.#clock.now() > deadlineMs) throw new StreamUnreadableError();
      if (entries === null) return 'evicted';
      for (const entry of entries) {
        bytes += entry.bytes;
        if (bytes > bytesMax) return 'limit';
        if (!entry.decoded.ok) continue;
        const { event } = entry.decoded;
        // After the broker lost data, an event can be stored twice: its user's counter tells.
        if (event.seq <= (newestByUser.get(event.userId) ?? 0)) continue;
        newestByUser.set(event.userId, event.seq);
        events.push(event);
      }
    }
    return events;
  }
}
