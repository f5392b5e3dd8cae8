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
 * Decides how to go on after the stream was out of sight. Positions prove nothing by themselves: a broker that lost
 * its disk, or was restored from a copy, hands them out again. An event id at its old position does.
 *
 * @param found the id of the event that is now at the anchor's position, null when none is there
 */
export function chooseResumePoint(place: ReadPlace, state: StreamState, found: string | null): ResumePoint {
  if (state.createdAt !== place.createdAt) return { kind: 'recover', why: 'recreated', fromTimeMs: null };
  const { anchor, anchorStoredAtMs, readThrough } = place;
  const hasAnchor = anchor.eventId !== '';
  const isEvicted = found === null && anchor.sequence < state.firstSequence;
  const isSameLog = hasAnchor ? found === anchor.eventId || isEvicted : state.lastSequence >= readThrough;
  if (!isSameLog) {
    const fromTimeMs = anchorStoredAtMs === null ? null : anchorStoredAtMs - RECOVERY_MARGIN_MS;
    return { kind: 'recover', why: 'rolled_back', fromTimeMs };
  }
  // What came after the anchor and was no event is read once more: its positions are not proved by anything.
  return { kind: 'continue', fromSequence: (hasAnchor ? anchor.sequence : readThrough) + 1 };
}
