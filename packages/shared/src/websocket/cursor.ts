import { SEQUENCE_MAX } from '../events/event-envelope.ts';

/**
 * The resume cursor: where a socket stands, told with `connected` and with every notification, given back as
 * `?after=`. Opaque to clients; what is inside:
 *
 * - own events: `u1.<user_id>.<seq>.<position>.<mark>` – `seq` is the truth. `position` is a hint: the stream
 *   position at which that `seq` was the user's newest, believed only if the message there carries the event id
 *   that `mark` begins. The hint spares the broker a walk through the log.
 * - own events once something was sent to everybody: `u2.<user_id>.<seq>.<position>.<mark>.<broadcast_seq>` – the same,
 *   and the place in the log of broadcasts. Without it (`u1`) that place is the hint's: what came after it is missed.
 * - the feed of everything: `a1.<position>.<event id>` – believed only if the stream still holds that event there,
 *   because after a power cut positions are reused.
 *
 * A plain number is accepted as a `seq` without a hint. It says nothing about broadcasts.
 */
export interface OwnCursor {
  readonly kind: 'own';
  /** Null for a plain `seq`, which does not say whose it is. */
  readonly userId: number | null;
  /** 0: before any event that the stream held. */
  readonly seq: number;
  readonly hint: StreamPosition | null;
  /** The newest broadcast that was seen; 0: none, as far as the cursor says. */
  readonly broadcastSeq: number;
}

export interface FeedCursor {
  readonly kind: 'feed';
  readonly position: StreamPosition;
}

export type Cursor = OwnCursor | FeedCursor;

/** A place in the stream and the event that was there. `sequence` 0 with an empty id: before the first message. */
export interface StreamPosition {
  readonly sequence: number;
  readonly eventId: string;
}

/** 12 hexadecimal digits tell apart two events at one reused position: a chance of 1 in 2.8e14 to be wrong. */
const MARK_LENGTH = 12;

/** Longer than any cursor we hand out (83 characters), short enough to reject junk before parsing it. */
export const CURSOR_LENGTH_MAX = 128;

// Numbers as they are written out: `01` was never handed out, and one spelling per cursor is easier to reason about.
const ownExpression = /^u1\.([1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.([0-9a-f]{12}|0)$/;
const ownExpression2 =
  /^u2\.([1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.([0-9a-f]{12}|0)\.([1-9]\d{0,15})$/;
const feedExpression = /^a1\.(0|[1-9]\d{0,15})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|0)$/;
const plainExpression = /^(0|[1-9]\d{0,15})$/;

function mark(eventId: string): string {
  return eventId === '' ? '0' : eventId.replaceAll('-', '').slice(0, MARK_LENGTH);
}

/**
 * The cursor after one's own event `seq`, seen at `position`.
 * @param broadcastSeq the newest broadcast that was seen. 0 while there is none: the cursor is then the one that the
 * release before knew, which it still understands when a client falls back to one of its nodes.
 */
export function encodeOwnCursor(userId: number, seq: number, position: StreamPosition, broadcastSeq = 0): string {
  const place = `${userId}.${seq}.${position.sequence}.${mark(position.eventId)}`;
  return broadcastSeq === 0 ? `u1.${place}` : `u2.${place}.${broadcastSeq}`;
}

/** The cursor of the feed of everything after the event at `position`. */
export function encodeFeedCursor(position: StreamPosition): string {
  return `a1.${position.sequence}.${position.eventId === '' ? '0' : position.eventId}`;
}

/** True if the event id found in the stream is the one that the cursor's hint or place was made from. */
export function positionMatches(position: StreamPosition, eventId: string): boolean {
  if (position.eventId === '') return false;
  return mark(eventId) === mark(position.eventId);
}

function toSequence(digits: string | undefined): number | null {
  const value = Number(digits);
  return Number.isSafeInteger(value) && value <= SEQUENCE_MAX ? value : null;
}

/**
 * Reads what a client sent as `?after=` or `Last-Event-ID`.
 * @returns null for anything that no release ever handed out: negative, 2^63, not a number, too long.
 */
export function parseCursor(text: string): Cursor | null {
  if (text.length > CURSOR_LENGTH_MAX) return null;
  if (plainExpression.test(text)) {
    const seq = toSequence(text);
    return seq === null ? null : { kind: 'own', userId: null, seq, hint: null, broadcastSeq: 0 };
  }
  const own = ownExpression.exec(text) ?? ownExpression2.exec(text);
  if (own !== null) {
    const [userId, seq, sequence] = [toSequence(own[1]), toSequence(own[2]), toSequence(own[3])];
    const broadcastSeq = toSequence(own[5] ?? '0');
    if (userId === null || seq === null || sequence === null || broadcastSeq === null) return null;
    const eventId = own[4] === undefined || own[4] === '0' ? '' : own[4];
    return { kind: 'own', userId, seq, hint: { sequence, eventId }, broadcastSeq };
  }
  const feed = feedExpression.exec(text);
  if (feed !== null) {
    const sequence = toSequence(feed[1]);
    if (sequence === null) return null;
    return { kind: 'feed', position: { sequence, eventId: feed[2] === undefined || feed[2] === '0' ? '' : feed[2] } };
  }
  return null;
}
