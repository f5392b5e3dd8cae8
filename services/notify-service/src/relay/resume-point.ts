import type { StreamPosition } from '@infrasignal/shared';
import type { StreamState } from './stream-reader.ts';

/** How far this node has read the stream. */
export interface ReadPlace {
  /** When the stream that was read was created. */
  readonly createdAt: string;
  /** The last position that was read, whatever was there. */
  readonly readThrough: number;
  /** The last valid event at or before it: the proof, later, that the log is still the one that was read. */
  readonly anchor: StreamPosition;
  /** When that was stored; before any valid event, when the message at `readThrough` was. Null: nothing was read. */
  readonly anchorStoredAtMs: number | null;
}

/** Where the next consumer starts. */
export type ResumePoint =
  | { readonly kind: 'continue'; readonly fromSequence: number }
  | {
      /** The log is not the one that was read. Everything that may be new is read, and seen events are dropped. */
      readonly kind: 'recover';
      readonly why: 'recreated' | 'rolled_back';
      /** Null: from the first message. */
      readonly fromTimeMs: number | null;
    };

/**
 * How long before our last event a rolled-back log is read again: 15 minutes. The outbox publishes its last ten
 * minutes again when the broker has lost data, and those events are then stored at a later time than we first saw
 * them; five more cover the delay between the two. Smaller could miss events; larger only costs reading.
 */
const RECOVERY_MARGIN_MS = 15 * 60 * 1_000;

/**
 * The same storing of a message, told by a consumer and by a read, may differ by what one of them rounds. Another storing
 * of it is as far away as a restart of the broker takes.
 */
const STORED_AT_TOLERANCE_MS = 2;

/** What is now at the place of the last event that was read. */
export interface FoundEvent {
  /** Empty when it is no event. */
  readonly eventId: string;
  readonly storedAtMs: number;
}

/** True if a stream cannot be the one that was read: it was created anew, or ends before what was read. */
export function isOtherLog(place: Pick<ReadPlace, 'createdAt' | 'readThrough'>, state: StreamState): boolean {
  return state.createdAt !== place.createdAt || state.lastSequence < place.readThrough;
}

/** The position of what proves that the log is the one that was read. */
export function proofOf({ anchor, readThrough }: ReadPlace): number {
  return anchor.eventId === '' ? readThrough : anchor.sequence;
}

/**
 * Decides how to go on after the stream was out of sight. Positions prove nothing by themselves: a broker that lost
 * its disk, or was restored from a copy, hands them out again. The event's id at its old position is not enough either: the outbox publishes
 * again what was lost, in among what is new, and the same event may come to stand at the same position behind others. That
 * it was also stored at the same time does: then it is what was stored then, and so is everything before it.
 *
 * @param found what is now at the position that `proofOf` names, null when nothing is there
 */
export function chooseResumePoint(place: ReadPlace, state: StreamState, found: FoundEvent | null): ResumePoint {
  if (state.createdAt !== place.createdAt) return { kind: 'recover', why: 'recreated', fromTimeMs: null };
  const { anchor, anchorStoredAtMs, readThrough } = place;
  const hasAnchor = anchor.eventId !== '';
  const isEvicted = found === null && proofOf(place) < state.firstSequence;
  const isSameStoring =
    found?.eventId === anchor.eventId && Math.abs(found.storedAtMs - (anchorStoredAtMs ?? 0)) <= STORED_AT_TOLERANCE_MS;
  const isSameLog = readThrough === 0 || isSameStoring || isEvicted;
  if (!isSameLog) {
    const fromTimeMs = anchorStoredAtMs === null ? null : anchorStoredAtMs - RECOVERY_MARGIN_MS;
    return { kind: 'recover', why: 'rolled_back', fromTimeMs };
  }
  // What came after the anchor and was no event is read once more: its positions are not proved by anything.
  return { kind: 'continue', fromSequence: (hasAnchor ? anchor.sequence : readThrough) + 1 };
}
