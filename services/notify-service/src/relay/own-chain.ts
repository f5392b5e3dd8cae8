import type { StreamPosition } from '@infrasignal/shared';
import type { HubEvent } from '../hub/ports.ts';
import type { LogEntry } from './log-entry.ts';

/**
 * One user's messages behind a cursor, put together in the order of the log. The user's gapless `seq` proves that none
 * is missing: each event must follow on the one before it.
 */
export class OwnChain {
  readonly events: HubEvent[] = [];
  /** Where the cursor's own event was met, if it was. */
  start: StreamPosition | null = null;
  readonly #cursorSeq: number;
  #lastSeq: number | null;
  #isAnchored: boolean;
  #skipped = 0;
  #added = 0;
  #bytes = 0;

  /**
   * @param cursorSeq the `seq` that the client has
   * @param lastSeq the same; or null where the first event that comes may carry any
   * @param isAnchored true if no message of the user lies between the cursor and the first one that is added. Only
   * then can a message that is no event explain a jump in `seq`: else it may lie before the cursor itself.
   */
  constructor(cursorSeq: number, lastSeq: number | null, isAnchored: boolean) {
    this.#cursorSeq = cursorSeq;
    this.#lastSeq = lastSeq;
    this.#isAnchored = isAnchored;
  }

  /** The newest `seq` that the client has with what was added; null while there is none. */
  get lastSeq(): number | null {
    return this.#lastSeq;
  }

  /** Messages that were added, those before the cursor included. */
  get added(): number {
    return this.#added;
  }

  /** Bytes of the stored messages that are to be replayed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the user's next message. False if events are missing before it; then it is not added. */
  add({ bytes, decoded }: LogEntry): boolean {
    this.#added += 1;
    if (!decoded.ok) {
      this.#skipped += 1;
      return true;
    }
    const { event } = decoded;
    const lastSeq = this.#lastSeq;
    if (event.seq === this.#cursorSeq) this.start = event.position;
    if (lastSeq !== null && event.seq > lastSeq + 1 + (this.#isAnchored ? this.#skipped : 0)) return false;
    const isKnown = lastSeq !== null && event.seq <= lastSeq;
    // A known event in between was stored twice after the broker lost data: it says nothing of what is around it.
    if (isKnown && this.events.length > 0) return true;
    this.#skipped = 0;
    this.#isAnchored = true;
    if (isKnown) return true;
    this.events.push(event);
    this.#bytes += bytes;
    this.#lastSeq = event.seq;
    return true;
  }
}
