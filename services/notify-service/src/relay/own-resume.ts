import {
  encodeOwnCursor,
  parseCursor,
  positionMatches,
  type OwnCursor,
  type RecoveryFailure,
  type StreamPosition,
} from '@infrasignal/shared';
import type { Hub } from '../hub/hub.ts';
import type { HubEvent } from '../hub/ports.ts';
import type { EventDecoder } from './event-decoder.ts';
import { JoinAbandonedError, type JoinPlan, type LogView, type ResumeLimits } from './resume.ts';
import type { StreamMessage } from './stream-message.ts';
import { StreamUnreadableError, type StreamReader } from './stream-reader.ts';

const NOWHERE: StreamPosition = { sequence: 0, eventId: '' };

/** The newest that is known of a user. */
interface Newest {
  /** Null: nothing of the user is held, or the newest message is no valid event. */
  readonly seq: number | null;
  /** Null: nothing of the user is held. */
  readonly position: StreamPosition | null;
}

interface Replay {
  readonly events: readonly HubEvent[];
  readonly lastSeq: number | null;
  /** Where the cursor's own event was met, if it was. */
  readonly start: StreamPosition | null;
}

export interface OwnJoin {
  readonly userId: number;
  /** What the client gave as `after`; null when it gave nothing. */
  readonly after: string | null;
  readonly log: LogView;
  /** False as soon as the socket is gone. */
  readonly isWanted: () => boolean;
}

/**
 * Joins a socket to its user's own events: finds out what it missed, and proves by the gapless `seq` that it is all of
 * it. All or nothing: what cannot be proved is answered with a reason.
 */
export class OwnResume {
  readonly #reader: StreamReader;
  readonly #decoder: EventDecoder;
  readonly #hub: Pick<Hub, 'findNewest'>;
  readonly #limits: ResumeLimits;

  constructor(reader: StreamReader, decoder: EventDecoder, hub: Pick<Hub, 'findNewest'>, limits: ResumeLimits) {
    this.#reader = reader;
    this.#decoder = decoder;
    this.#hub = hub;
    this.#limits = limits;
  }

  /** @throws StreamUnreadableError, JoinAbandonedError */
  async join(join: OwnJoin): Promise<JoinPlan> {
    const { userId, after } = join;
    const newest = await this.#findNewest(userId);
    if (after === null) return this.#fromNow(join, newest, null);
    const cursor = parseCursor(after);
    const isTheirs = cursor?.kind === 'own' && (cursor.userId ?? userId) === userId;
    if (!isTheirs) return this.#fromNow(join, newest, 'unknown_cursor');
    if (newest.seq === cursor.seq) return this.#whole(join, cursor.seq, newest);
    if (newest.seq !== null && newest.seq > cursor.seq) return this.#fromCursor(join, cursor, newest);
    // An answer that takes something away from the client is not left to a replica that may lag behind.
    return this.#fromCursor(join, cursor, await this.#findNewestAtLeader(userId));
  }

  async #fromCursor(join: OwnJoin, cursor: OwnCursor, newest: Newest): Promise<JoinPlan> {
    if (newest.seq === cursor.seq) return this.#whole(join, cursor.seq, newest);
    if (newest.seq !== null && newest.seq < cursor.seq) return this.#fromNow(join, newest, 'unknown_cursor');
    const hint = (await this.#isTrue(cursor, join.log)) ? cursor.hint : null;
    if (newest.position === null) {
      return hint === null ? this.#fromNow(join, newest, 'evicted') : this.#whole(join, cursor.seq, newest);
    }
    if (newest.seq !== null && newest.seq - cursor.seq > this.#limits.eventsMax && cursor.seq > 0) {
      return this.#fromNow(join, newest, 'limit');
    }
    const replay = await this.#read(join, cursor, hint, newest);
    if (typeof replay === 'string') return this.#fromNow(join, newest, replay);
    return {
      seq: cursor.seq,
      cursor: encodeOwnCursor(join.userId, cursor.seq, hint ?? replay.start ?? NOWHERE),
      failure: null,
      replay: replay.events,
      lastSeq: replay.lastSeq,
      seenThrough: 0,
    };
  }

  /** Live from the newest event on; with a reason if that is not what was asked for. */
  #fromNow({ userId, log }: OwnJoin, newest: Newest, failure: RecoveryFailure | null): JoinPlan {
    const seq = newest.seq ?? 0;
    return {
      seq,
      cursor: encodeOwnCursor(userId, seq, later(newest.position, log.anchor)),
      failure,
      replay: [],
      lastSeq: newest.seq,
      seenThrough: 0,
    };
  }

  /** Nothing was missed. */
  #whole({ userId, log }: OwnJoin, seq: number, newest: Newest): JoinPlan {
    return {
      seq,
      cursor: encodeOwnCursor(userId, seq, later(newest.position, log.anchor)),
      failure: null,
      replay: [],
      lastSeq: seq === 0 ? null : seq,
      seenThrough: 0,
    };
  }

  async #findNewest(userId: number): Promise<Newest> {
    return this.#toNewest(userId, await this.#reader.findNewest(userId));
  }

  async #findNewestAtLeader(userId: number): Promise<Newest> {
    return this.#toNewest(userId, await this.#reader.findNewestAtLeader(userId));
  }

  /** The newer of what the broker answered and of what passed through this node. */
  #toNewest(userId: number, message: StreamMessage | null): Newest {
    const seen = this.#hub.findNewest(userId);
    const decoded = message === null ? null : this.#decoder.decode(message);
    const seq = decoded?.ok === true ? decoded.event.seq : null;
    if (seen !== null && (message === null || (seq !== null && seen.seq > seq))) return seen;
    if (message === null) return { seq: null, position: null };
    const position = decoded?.ok === true ? decoded.event.position : { sequence: message.sequence, eventId: '' };
    return { seq, position };
  }

  /** True if the cursor's hint holds: as of that position, the user's newest was the cursor's `seq`. */
  async #isTrue({ seq, hint }: OwnCursor, log: LogView): Promise<boolean> {
    if (hint === null) return false;
    // Before the first message of all: true while that first message is still held, or was never written.
    if (hint.sequence === 0) return seq === 0 && (log.readThrough === 0 || (await this.#findAt(1)) !== null);
    const message = await this.#findAt(hint.sequence);
    if (message === null) return false;
    const decoded = this.#decoder.decode(message);
    return decoded.ok && positionMatches(hint, decoded.event.position.eventId);
  }

  async #findAt(sequence: number): Promise<StreamMessage | null> {
    return (await this.#reader.findAt(sequence)) ?? this.#reader.findAtLeader(sequence);
  }

  async #findNext(userId: number, fromSequence: number): Promise<StreamMessage | null> {
    const message = await this.#reader.findNext(userId, fromSequence);
    return message ?? this.#reader.findNextAtLeader(userId, fromSequence);
  }

  /**
   * Reads the user's events after the cursor up to the newest one: from the hint, or else from the first one held.
   * Every `seq` must follow the one before it, but for places that hold no valid event.
   */
  async #read(
    { userId, isWanted }: OwnJoin,
    cursor: OwnCursor,
    hint: StreamPosition | null,
    newest: Newest,
  ): Promise<Replay | RecoveryFailure> {
    const { eventsMax, bytesMax, durationMsMax } = this.#limits;
    const deadlineMs = performance.now() + durationMsMax;
    const events: HubEvent[] = [];
    // With nothing before the hint, the first event after it may carry any `seq`: older ones may have been evicted.
    let lastSeq = cursor.seq === 0 && hint !== null && hint.sequence > 0 ? null : cursor.seq;
    let start: StreamPosition | null = null;
    let fromSequence = (hint?.sequence ?? 0) + 1;
    let skipped = 0;
    let bytes = 0;
    for (let reads = 0; !hasReached(newest, lastSeq, fromSequence); reads += 1) {
      if (!isWanted()) throw new JoinAbandonedError();
      if (performance.now() > deadlineMs) throw new StreamUnreadableError();
      const message = await this.#findNext(userId, fromSequence);
      if (message === null) return 'evicted';
      fromSequence = message.sequence + 1;
      bytes += message.data.byteLength;
      if (reads >= eventsMax || bytes > bytesMax) return 'limit';
      const decoded = this.#decoder.decode(message);
      if (!decoded.ok) {
        skipped += 1;
        continue;
      }
      const { event } = decoded;
      if (event.seq === cursor.seq) start = event.position;
      if (lastSeq !== null && event.seq <= lastSeq) continue;
      if (lastSeq !== null && event.seq > lastSeq + 1 + skipped) return 'evicted';
      events.push(event);
      lastSeq = event.seq;
      skipped = 0;
    }
    return { events, lastSeq, start };
  }
}

/** True when everything up to the newest message is read. */
function hasReached(newest: Newest, lastSeq: number | null, fromSequence: number): boolean {
  if (newest.seq !== null) return lastSeq !== null && lastSeq >= newest.seq;
  return newest.position === null || fromSequence > newest.position.sequence;
}

/** The later of two places: the later a hint, the longer it is held, and the less lies behind it. */
function later(first: StreamPosition | null, second: StreamPosition): StreamPosition {
  if (first === null || first.eventId === '' || first.sequence < second.sequence) return second;
  return first;
}
