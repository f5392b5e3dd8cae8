import type { RecoveryFailure } from '@infrasignal/shared';
import type { HubEvent } from '../hub/ports.ts';

/** How a socket comes in: what it is told, what it is sent first, and where it goes on. */
export interface JoinPlan {
  /** Where the socket stands before the replay; null on the feed of everything. */
  readonly seq: number | null;
  /** The same as a cursor. A client that keeps it at once and is cut off during the replay has lost nothing. */
  readonly cursor: string;
  /** Why events after the given cursor may be missing; null: none is. */
  readonly failure: RecoveryFailure | null;
  /**
   * True if it says what only the broker knows and no numbers prove: it holds if the stream is the one that this node
   * reads. Of one that was made anew, and is not noticed yet, memory and the broker together tell what never was.
   */
  readonly isInDoubt: boolean;
  readonly replay: readonly HubEvent[];
  /** The newest `seq` after the replay; null: not known, or the feed of everything. */
  readonly lastSeq: number | null;
  /** The newest broadcast that it has before the replay; 0 before any. */
  readonly broadcastSeq: number;
  /** On the feed of everything: the position up to which the log was seen, 0 when there is nothing to leave out. */
  readonly seenThrough: number;
}

export interface ResumeLimits {
  /** Events that one resume may bring. */
  readonly eventsMax: number;
  /** Bytes of stored messages that one resume may bring. */
  readonly bytesMax: number;
  /** A join that reads for longer than this is given up, in milliseconds. */
  readonly durationMsMax: number;
}

/** The socket went away while its replay was being read. */
export class JoinAbandonedError extends Error {
  constructor() {
    super('nobody waits for this join any more');
    this.name = 'JoinAbandonedError';
  }
}

/** What was read for a join is of another log than what this node has behind it. */
export class LogChangedError extends Error {
  constructor() {
    super('the event stream is another one than this node has read');
    this.name = 'LogChangedError';
  }
}

/** Where in the log this node has read to. Read it when the socket is registered, before waiting for anything. */
export interface LogView {
  readonly readThrough: number;
  readonly anchor: { readonly sequence: number; readonly eventId: string };
  /** The newest broadcast that it has read; 0 before any. */
  readonly broadcastSeq: number;
}
