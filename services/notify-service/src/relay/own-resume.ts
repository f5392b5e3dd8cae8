import {
  parseCursor,
  positionMatches,
  type OwnCursor,
  type RecoveryFailure,
  type StreamPosition,
} from '@infrasignal/shared';
import type { Hub } from '../hub/hub.ts';
import type { NewestSequences } from '../hub/newest-sequences.ts';
import type { Clock, HubEvent } from '../hub/ports.ts';
import { OwnChain } from './own-chain.ts';
import { isTrueHint } from './hint.ts';
import { JoinAbandonedError, type LogView, type ResumeLimits } from './resume.ts';
import type { SharedReader } from './shared-reader.ts';
import { StreamUnreadableError } from './stream-reader.ts';

/** Before the first message of all. */
export const NOWHERE: StreamPosition = { sequence: 0, eventId: '' };

/** The newest that is known of a user. */
export interface Newest {
  /** Null: nothing of the user is held, or the newest message is no valid event. */
  readonly seq: number | null;
  /** Null: nothing of the user is held. */
  readonly position: StreamPosition | null;
}

/** Nothing of the user is held. */
const NONE: Newest = { seq: null, position: null };

/** How a socket comes into its user's own log. */
export interface OwnPlan {
  /** Where it stands before the replay. */
  readonly seq: number;
  /** A place before which nothing lies that it does not have. */
  readonly hint: StreamPosition;
  /** Why events after the given cursor may be missing; null: none is. */
  readonly failure: RecoveryFailure | null;
  readonly replay: readonly HubEvent[];
  /** The newest `seq` after the replay; null: not known. */
  readonly lastSeq: number | null;
}

export interface OwnJoin {
  readonly userId: number;
  /** What the client gave as `after`; null when it gave nothing. */
  readonly after: string | null;
  readonly log: LogView;
  /** False as soon as the socket is gone. */
  readonly isWanted: () => boolean;
}

export interface OwnResumeOptions {
  readonly reader: SharedReader;
  readonly hub: Pick<Hub, 'newest'>;
  readonly limits: ResumeLimits;
  readonly clock: Clock;
}

/**
 * Joins a socket to its user's own events: finds out what it missed, and proves by the gapless `seq` that it is all of
 * it. All or nothing: what cannot be proved is answered with a reason.
 */
export class OwnResume {
  readonly #reader: SharedReader;
  readonly #newest: NewestSequences;
  readonly #limits: ResumeLimits;
  readonly #clock: Clock;

  constructor({ reader, hub, limits, clock }: OwnResumeOptions) {
    this.#reader = reader;
    this.#newest = hub.newest;
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * What memory can answer is answered in the same turn of the event loop, in which nothing new can arrive.
   * @throws StreamUnreadableError, ReadRefusedError, JoinAbandonedError
   */
  async join(join: OwnJoin): Promise<OwnPlan> {
    const { stats } = this.#reader;
    const cursor = readOwnCursor(join);
    const known = this.#recallNewest(join.userId, cursor);
    const remembered = known === null ? null : this.#decide(join, cursor, known);
    if (remembered !== null) {
      stats.joinsFromMemory += 1;
      return remembered;
    }
    stats.joinsFromBroker += 1;
    let newest = known ?? (await this.#askNewest(join));
    // The answer may be that to a question from before this join: whoever is ahead of it asks once more.
    if (known === null && isAhead(cursor, newest)) newest = await this.#askNewest(join);
    const plan = this.#decide(join, cursor, newest);
    if (plan !== null) return plan;
    if (cursor === null) throw new Error('without a cursor there is nothing to read');
    return this.#fromBroker(join, cursor, newest);
  }

  /** The user's newest event, if this node knows it for certain and it is not behind the client's. */
  #recallNewest(userId: number, cursor: OwnCursor | null): Newest | null {
    const seen = this.#newest.find(userId);
    // To who says to have had some of them, the leader answers.
    if ((cursor === null || cursor.seq === 0) && this.#newest.isWithout(userId)) return NONE;
    // With a message behind it that is no event, only the stream says what comes next.
    if (seen === null || seen.skipped > 0) return null;
    // Ahead of this node, as far as it has read: the leader is asked before a client is told so.
    return cursor !== null && cursor.seq > seen.seq ? null : seen;
  }

  /** What follows from the newest event and from memory; null when the log has to be read. */
  #decide(join: OwnJoin, cursor: OwnCursor | null, newest: Newest): OwnPlan | null {
    if (cursor === null) return this.#fromNow(join, newest, join.after === null ? null : 'unknown_cursor');
    if (newest.seq === cursor.seq) return this.#whole(join, cursor.seq, newest);
    if (isAhead(cursor, newest)) return this.#fromNow(join, newest, 'unknown_cursor');
    if (newest.position === null && this.#findRecentHint(cursor) !== null) return this.#whole(join, cursor.seq, newest);
    if (this.#isTooFar(cursor, newest)) return this.#fromNow(join, newest, 'limit');
    return this.#fromRecent(join, cursor, newest);
  }

  /** Replays from the recent events alone, if they prove to be all. */
  #fromRecent(join: OwnJoin, cursor: OwnCursor, newest: Newest): OwnPlan | null {
    const hint = this.#findRecentHint(cursor);
    const chain = startChain(cursor, hint);
    const entries = this.#reader.recent.ofUser(join.userId, hint === null ? 0 : hint.sequence + 1);
    for (const entry of entries) if (!chain.add(entry)) return null;
    const isWhole = newest.seq !== null && chain.lastSeq === newest.seq;
    this.#reader.noteLookUp(isWhole);
    if (!isWhole) return null;
    return this.#isTooMuch(chain) ? this.#fromNow(join, newest, 'limit') : this.#replay(cursor, hint, chain);
  }

  /** The cursor's hint, if memory alone tells that it is true. */
  #findRecentHint({ hint }: OwnCursor): StreamPosition | null {
    const decoded = hint === null ? undefined : this.#reader.recent.find(hint.sequence)?.decoded;
    if (hint === null || decoded?.ok !== true) return null;
    return positionMatches(hint, decoded.event.position.eventId) ? hint : null;
  }

  async #fromBroker(join: OwnJoin, cursor: OwnCursor, newest: Newest): Promise<OwnPlan> {
    const quick = await this.#readFromHint(join, cursor, newest);
    if (quick !== null) return this.#replay(cursor, cursor.hint, quick);
    const hint = (await this.#isTrue(join, cursor)) ? cursor.hint : null;
    if (newest.position === null) {
      return hint === null ? this.#fromNow(join, newest, 'evicted') : this.#whole(join, cursor.seq, newest);
    }
    let read = await this.#read(join, startChain(cursor, hint), hint, newest);
    // In a log that was rolled back the hint's event may stand where it stood, behind what came after it before.
    if (read === 'evicted' && hint !== null) read = await this.#read(join, startChain(cursor, null), null, newest);
    if (typeof read === 'string') return this.#fromNow(join, newest, read);
    // Up to a newest message that is no event there is nothing to compare with: the cursor may be of no log at all.
    const isPlaced = hint !== null || read.start !== null || read.events.length > 0;
    return isPlaced ? this.#replay(cursor, hint, read) : this.#fromNow(join, newest, 'evicted');
  }

  /**
   * Reads behind the cursor's hint without asking whether it is true: where the events follow on the cursor's own, it
   * does not matter. Null if they do not.
   */
  async #readFromHint(join: OwnJoin, { seq, hint }: OwnCursor, newest: Newest): Promise<OwnChain | null> {
    if (seq === 0 || hint === null || hint.sequence === 0 || newest.position === null) return null;
    const read = await this.#read(join, new OwnChain(seq, seq, false), hint, newest);
    return typeof read === 'string' || read.events.length === 0 ? null : read;
  }

  /**
   * Reads the user's events after the cursor up to the newest one: from the hint, or else from the first one held.
   * Every `seq` must follow the one before it, but for places that hold no valid event.
   */
  async #read(
    { userId, isWanted }: OwnJoin,
    chain: OwnChain,
    hint: StreamPosition | null,
    newest: Newest,
  ): Promise<OwnChain | RecoveryFailure> {
    const deadlineMs = this.#clock.now() + this.#limits.durationMsMax;
    let fromSequence = (hint?.sequence ?? 0) + 1;
    while (!hasReached(newest, chain.lastSeq, fromSequence)) {
      const entries = await this.#reader.findOfUser(userId, userId, fromSequence);
      if (!isWanted()) throw new JoinAbandonedError();
      if (this.#clock.now() > deadlineMs) throw new StreamUnreadableError();
      if (entries.length === 0) return 'evicted';
      for (const entry of entries) {
        fromSequence = entry.sequence + 1;
        if (!chain.add(entry)) return 'evicted';
        if (chain.added > this.#limits.eventsMax || this.#isTooMuch(chain)) return 'limit';
        if (hasReached(newest, chain.lastSeq, fromSequence)) break;
      }
    }
    return chain;
  }

  #replay({ seq }: OwnCursor, hint: StreamPosition | null, chain: OwnChain): OwnPlan {
    return {
      seq,
      hint: hint ?? chain.start ?? NOWHERE,
      failure: null,
      replay: chain.events,
      lastSeq: chain.lastSeq,
    };
  }

  /** Live from the newest event on; with a reason if that is not what was asked for. */
  #fromNow({ log }: OwnJoin, newest: Newest, failure: RecoveryFailure | null): OwnPlan {
    const seq = newest.seq ?? 0;
    return {
      seq,
      hint: later(newest.position, log.anchor),
      failure,
      replay: [],
      lastSeq: newest.seq,
    };
  }

  /** Nothing was missed. */
  #whole({ log }: OwnJoin, seq: number, newest: Newest): OwnPlan {
    return {
      seq,
      hint: later(newest.position, log.anchor),
      failure: null,
      replay: [],
      lastSeq: seq === 0 ? null : seq,
    };
  }

  /** True if even the numbers say that more was missed than may be replayed. After 0 may come any `seq`. */
  #isTooFar({ seq }: OwnCursor, newest: Newest): boolean {
    return seq > 0 && newest.seq !== null && newest.seq - seq > this.#limits.eventsMax;
  }

  #isTooMuch({ events, bytes }: OwnChain): boolean {
    return events.length > this.#limits.eventsMax || bytes > this.#limits.bytesMax;
  }

  /** The user's newest event, as of what this node had read when the join began, or newer. */
  async findNewest(join: OwnJoin): Promise<Newest> {
    return this.#recallNewest(join.userId, readOwnCursor(join)) ?? this.#askNewest(join);
  }

  /** The newer of what the leader answers and of what passed through this node. */
  async #askNewest({ userId, log }: OwnJoin): Promise<Newest> {
    const { recent } = this.#reader;
    const { generation } = recent;
    const { interruptions } = this.#newest;
    const entry = await this.#reader.findNewest(userId, userId);
    const event = entry?.decoded.ok === true ? entry.decoded.event : null;
    // Known from here on; but not what this node has yet to read, which would then be taken for a repetition.
    if (event !== null && event.position.sequence <= log.readThrough && recent.generation === generation) {
      this.#newest.learn(userId, event.seq, event.position);
    }
    const seen = this.#newest.find(userId);
    if (seen !== null && (entry === null || (event !== null && seen.seq > event.seq))) return seen;
    if (entry === null) {
      this.#newest.learnWithout(userId, interruptions);
      return NONE;
    }
    if (event === null) return { seq: null, position: { sequence: entry.sequence, eventId: '' } };
    return { seq: event.seq, position: event.position };
  }

  /** True if the cursor's hint holds: as of that position, the user's newest was the cursor's `seq`. */
  async #isTrue(join: OwnJoin, { seq, hint }: OwnCursor): Promise<boolean> {
    if (hint === null || (hint.sequence === 0 && seq > 0)) return false;
    return isTrueHint(this.#reader, join, hint);
  }
}

/** The client's cursor, if it is one of this user's own events. */
export function readOwnCursor({ after, userId }: Pick<OwnJoin, 'after' | 'userId'>): OwnCursor | null {
  const cursor = after === null ? null : parseCursor(after);
  return cursor?.kind === 'own' && (cursor.userId ?? userId) === userId ? cursor : null;
}

/** True if a client says to have more than there is. */
function isAhead(cursor: OwnCursor | null, newest: Newest): boolean {
  return cursor !== null && newest.seq !== null && newest.seq < cursor.seq;
}

/** With nothing before a true hint, the first event after it may carry any `seq`: older ones may have been evicted. */
function startChain({ seq }: OwnCursor, hint: StreamPosition | null): OwnChain {
  const mayStartAnywhere = seq === 0 && hint !== null && hint.sequence > 0;
  return new OwnChain(seq, mayStartAnywhere ? null : seq, hint !== null);
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
