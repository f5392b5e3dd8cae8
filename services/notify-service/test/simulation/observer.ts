import { parseCursor, type OwnCursor, type RecoveryFailure } from '@infrasignal/shared';
import { EVERYBODY, type ModelOutbox, type TrueEvent } from './model-outbox.ts';
import { LIMITS } from './sim-node.ts';

/** The place in the feed before the first message. */
const BEFORE_EVERYTHING = 'a1.0.0';

/** Two ticks of the wheel, and what looks at the clock may take: a token's end is not passed by more. */
const EXPIRY_TOLERANCE_MS = 1_500;

/** What was promised and not kept. */
export class BrokenPromiseError extends Error {
  constructor(promise: string, detail: string) {
    super(`${promise}: ${detail}`);
    this.name = 'BrokenPromiseError';
  }
}

/** Who listens, and in which form. */
export interface ClientKind {
  readonly userId: number;
  /** True: to everything. */
  readonly isFeed: boolean;
  /** False: the inherited form, without cursors. */
  readonly isV1: boolean;
}

/** Where a client stands: of each user (0: everybody) the newest `seq` that it has; absent while unknown. */
export type Standing = ReadonlyMap<number, number>;

/** A frame as a client reads it. */
export interface ReceivedFrame {
  readonly type: string;
  readonly user_id?: number | null;
  readonly seq?: number | null;
  readonly broadcast_seq?: number;
  readonly id?: string;
  readonly cursor?: string;
  readonly phone_number?: string | null;
  readonly message?: string;
  readonly recovered?: boolean;
  readonly reason?: RecoveryFailure;
  readonly ticket?: string;
  readonly expires_at?: string;
  readonly code?: string;
  readonly session_id?: string | null;
  readonly data?: { readonly session_ids?: readonly string[] };
}

export interface Expectations {
  readonly kind: ClientKind;
  readonly sessionId: string;
  /** When its token ends, by the time of day. */
  readonly expiresAtMs: number;
  /** The cursor that it came with. */
  readonly after: string | null;
  /** On the feed: where it stood with that cursor; null: it cannot go on from there. */
  readonly standing: Standing | null;
  /** What its node had behind it when it came: where it begins if it cannot go on. */
  readonly readByNode: Standing;
  /** The position up to which its node had read by then. */
  readonly readThrough: number;
  /** What was gone from the stream before a node that it began at could read it: filled here, for all its sockets. */
  readonly passed: Set<TrueEvent>;
  readonly outbox: ModelOutbox;
  readonly openedAtMs: number;
  /** The `seq` of the event that ended the session, as far as it has. */
  readonly endedAtSeq: () => number | null;
}

/** Everything that one socket is sent, checked as it comes. @throws BrokenPromiseError */
export class Observer {
  readonly #expectations: Expectations;
  /** Of each user the newest that the client has, from this socket or an earlier one. */
  readonly #standing = new Map<number, number>();
  /** Of each user the last that this socket was sent: less than the client has, when it is told once more. */
  readonly #told = new Map<number, number>();
  isConnected = false;
  isOver = false;
  #hasEnded = false;
  /** On the feed: it goes on where it was; else it begins, and with a node that may be behind. */
  #isResumed = false;
  /** The end of the right to listen. */
  #expiresAtMs: number;

  constructor(expectations: Expectations) {
    this.#expectations = expectations;
    this.isConnected = !expectations.kind.isV1;
    this.#expiresAtMs = expectations.expiresAtMs;
  }

  get standing(): Standing {
    return this.#standing;
  }

  get expiresAtMs(): number {
    return this.#expiresAtMs;
  }

  /** @param writtenAtMs when its node let go of it, by the time of day */
  receive(frame: ReceivedFrame, writtenAtMs: number): void {
    if (this.isOver) this.#fail('nothing after the close', frame);
    if (writtenAtMs > this.#expiresAtMs + EXPIRY_TOLERANCE_MS) this.#fail('nothing after the end of a token', frame);
    if (frame.type === 'authenticated') this.#expiresAtMs = Date.parse(frame.expires_at ?? '');
    if (frame.type === 'connected') {
      this.#greet(frame);
      return;
    }
    if (!this.isConnected) this.#fail('the greeting is the first frame', frame);
    if (!frame.type.includes('.')) return;
    if (this.#hasEnded) this.#fail('nothing after the end of the session', frame);
    const [userId, seq] = this.#identify(frame);
    const { kind, outbox, sessionId, endedAtSeq } = this.#expectations;
    if (!kind.isFeed && userId !== EVERYBODY && userId !== kind.userId) this.#fail('nothing of anybody else', frame);
    const event = outbox.find(userId, seq);
    if (event === null || event.isVoid) this.#fail('only what happened', frame);
    if (frame.id !== undefined && frame.id !== event?.id) this.#fail('the event itself', frame);
    const endSeq = endedAtSeq();
    if (userId === kind.userId && endSeq !== null && seq > endSeq) this.#fail('nothing after revocation', frame);
    this.#follow(userId, seq, frame);
    if (kind.isV1) this.#checkCursor(frame);
    this.#hasEnded = frame.data?.session_ids?.includes(sessionId) === true;
  }

  #identify(frame: ReceivedFrame): [number, number] {
    if (typeof frame.seq === 'number') return [frame.user_id ?? EVERYBODY, frame.seq];
    if (frame.broadcast_seq !== undefined) return [EVERYBODY, frame.broadcast_seq];
    if (frame.user_id === null) return [EVERYBODY, Number(frame.message?.slice(3))];
    return [frame.user_id ?? EVERYBODY, Number(frame.phone_number)];
  }

  /** The next of its user: none left out, none twice. */
  #follow(userId: number, seq: number, frame: ReceivedFrame): void {
    const last = this.#standing.get(userId);
    const told = this.#told.get(userId);
    const { after, kind, outbox } = this.#expectations;
    const isFirst = kind.isFeed && told === undefined;
    this.#standing.set(userId, Math.max(last ?? 0, seq));
    this.#told.set(userId, seq);
    if (last === undefined) return;
    // A place in the feed is a position. What the stream was given once more stands behind that place, and is told with
    // a resume although its reader may have it: by its id it knows it again. It has what it had, so that this may end
    // anywhere: what its node reads for a second time is told to nobody.
    // Who began at a node whose newest message was no event has a cursor from before everything, and is told all of it.
    if (isFirst && seq <= last && (!this.#isResumed || after === BEFORE_EVERYTHING)) return;
    if (isFirst && seq <= last && (outbox.find(userId, seq)?.timesStored ?? 0) > 1) return;
    if (seq <= (told ?? last)) this.#fail('no repeat', frame, `after ${told ?? last}`);
    for (let missing = last + 1; missing < seq; missing += 1) {
      if (this.#mayBeMissing(userId, missing, last)) continue;
      if (isFirst && this.#mayBeBehind(userId, missing)) continue;
      this.#fail('no gap', frame, `without ${missing}, after ${last}`);
    }
  }

  /**
   * The event that a place in the feed names may come to stand at the same position again, behind others than before
   * (relay/README.md): those have been at or before it.
   */
  #mayBeBehind(userId: number, seq: number): boolean {
    const { after, outbox } = this.#expectations;
    const cursor = parseCursor(after ?? '');
    const place = cursor?.kind === 'feed' ? cursor.position.sequence : Infinity;
    return outbox.wasTornSince(0) && (outbox.find(userId, seq)?.firstPosition ?? 0) <= place;
  }

  #mayBeMissing(userId: number, seq: number, last: number): boolean {
    const { kind, outbox, passed } = this.#expectations;
    const event = outbox.find(userId, seq);
    if (event === null || event.isVoid || passed.has(event)) return true;
    // A client without a cursor is not told of other types, and cannot be told of a loss.
    if (!kind.isV1) return !/login|news/.test(event.subject) || outbox.hasEvicted;
    // Gone for good before this node read it, in a log that changed meanwhile: the feed has no counter that would tell.
    if (kind.isFeed && event.isOld && outbox.hasChanged) return true;
    // A place from before the first broadcast is a position, which the same event may have again in a log that changed.
    if (userId === EVERYBODY && last === 0 && outbox.wasTornSince(0)) return true;
    // From before anything: what was dropped for its age before anybody could have it is not owed.
    return last === 0 && event.isOld;
  }

  #checkCursor(frame: ReceivedFrame): void {
    const { isFeed, userId } = this.#expectations.kind;
    const cursor = parseCursor(frame.cursor ?? '');
    if (isFeed) {
      if (cursor?.kind !== 'feed' || cursor.position.eventId !== frame.id) this.#fail('a cursor names its event', frame);
      return;
    }
    const isHere =
      cursor?.kind === 'own' &&
      cursor.userId === userId &&
      cursor.seq === (this.#standing.get(userId) ?? 0) &&
      cursor.broadcastSeq === (this.#standing.get(EVERYBODY) ?? 0);
    if (!isHere) this.#fail('a cursor names where its owner stands', frame);
  }

  #greet(frame: ReceivedFrame): void {
    if (this.isConnected) this.#fail('one greeting', frame);
    this.isConnected = true;
    const { after, kind, readByNode, sessionId, standing } = this.#expectations;
    if (frame.user_id !== kind.userId || frame.session_id !== sessionId) this.#fail('greeted as who it is', frame);
    if (frame.recovered !== true) this.#checkFailure(frame);
    if (kind.isFeed) {
      this.#isResumed = after !== null && frame.recovered === true;
      if (this.#isResumed && standing === null) this.#fail('no recovery from a place that is none', frame);
      if (this.#isResumed) for (const [userId, seq] of standing ?? []) this.#standing.set(userId, seq);
      else for (const [userId, seq] of readByNode) this.#beginAt(userId, seq);
      return;
    }
    this.#greetOwn(frame);
  }

  /**
   * Begins where its node is. What that has behind it and never read is not owed; but another node may have it in memory,
   * and what is gone from the stream may still be on its way.
   */
  #beginAt(userId: number, seq: number): void {
    const { outbox, passed, readThrough } = this.#expectations;
    this.#standing.set(userId, seq);
    for (const event of outbox.logOf(userId).slice(seq)) {
      if (event.isVoid) continue;
      if (!event.isOld || event.firstPosition > readThrough) return;
      passed.add(event);
    }
  }

  #greetOwn(frame: ReceivedFrame): void {
    const { after, kind } = this.#expectations;
    const cursor = parseCursor(frame.cursor ?? '');
    if (cursor?.kind !== 'own' || cursor.seq !== frame.seq) {
      this.#fail('the greeting’s cursor is its place', frame);
      return;
    }
    this.#standing.set(EVERYBODY, cursor.broadcastSeq);
    if (cursor.seq > 0) this.#standing.set(kind.userId, cursor.seq);
    const given = this.#readGiven();
    if (given === null || frame.recovered !== true) {
      if (after !== null && given === null && frame.recovered === true) this.#fail('no recovery from a foreign cursor', frame);
      return;
    }
    if (frame.seq !== given.seq) this.#fail('recovered from where it was', frame);
    if (given.seq === 0 && (given.hint === null || given.hint.sequence === 0)) this.#standing.set(kind.userId, 0);
    if (given.hint !== null && cursor.broadcastSeq !== given.broadcastSeq) this.#fail('recovered from where it was', frame);
  }

  /** The cursor it came with, if it is one of its own. */
  #readGiven(): OwnCursor | null {
    const { after, kind } = this.#expectations;
    const given = after === null ? null : parseCursor(after);
    return given?.kind === 'own' && (given.userId ?? kind.userId) === kind.userId ? given : null;
  }

  /** A reason is given, and it is true. */
  #checkFailure(frame: ReceivedFrame): void {
    const { after, kind, openedAtMs, outbox, standing } = this.#expectations;
    if (after === null) this.#fail('who asks for nothing is refused nothing', frame);
    const given = this.#readGiven();
    const isOfLog = given !== null && given.seq <= outbox.logOf(kind.userId).length;
    const isPlace = kind.isFeed ? standing !== null : isOfLog;
    const storedOf = (userId: number): number => outbox.logOf(userId).reduce((sum, event) => sum + event.timesStored, 0);
    const isLong = (userId: number): boolean => storedOf(userId) > LIMITS.resumeEventsMax;
    const users = kind.isFeed ? outbox.users : [kind.userId, EVERYBODY];
    const hasVoid = users.some((userId) => outbox.logOf(userId).some(({ isVoid }) => isVoid));
    const total = users.reduce((sum, userId) => sum + storedOf(userId), 0);
    const isTrue =
      !isPlace ||
      outbox.wasTornSince(openedAtMs) ||
      (frame.reason === 'unknown_cursor' && kind.isFeed && outbox.wasTornSince(0)) ||
      // Dropped for its age before this node read it, so that the client is ahead of everything that can be found.
      (frame.reason === 'unknown_cursor' && outbox.hasEvicted) ||
      // A place from before the first event is a position, and positions of a log that was rolled back are none.
      (frame.reason === 'evicted' && (given?.seq === 0 || given?.broadcastSeq === 0) && outbox.wasTornSince(0)) ||
      (frame.reason === 'limit' && (kind.isFeed ? total > LIMITS.resumeEventsMax : users.some(isLong))) ||
      (frame.reason === 'evicted' && (outbox.hasEvicted || hasVoid));
    if (!isTrue) this.#fail('no recovery refused without a reason', frame);
  }

  #fail(promise: string, frame: ReceivedFrame, detail = ''): never {
    const { after, kind } = this.#expectations;
    const who = `${kind.isFeed ? 'the feed' : `user ${kind.userId}`}${kind.isV1 ? '' : ', inherited form'}`;
    throw new BrokenPromiseError(promise, `${who}, came with ${after ?? 'nothing'}, got ${JSON.stringify(frame)} ${detail}`);
  }
}
