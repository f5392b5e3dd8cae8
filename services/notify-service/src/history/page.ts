import type { HubEvent, Stand } from '../hub/ports.ts';
import type { LogView } from '../relay/resume.ts';

/** Bytes of stored events in one page: an answer that a phone can hold. The first event of a page is always in it. */
export const PAGE_BYTES_MAX = 1_048_576;

/** What is asked for. */
export interface PageQuery {
  /** The cursor that the client gave; null: from the oldest that is held. */
  readonly after: string | null;
  /** Events in the page, at most. */
  readonly limit: number;
  readonly log: LogView;
  /** False as soon as the client is gone. */
  readonly isWanted: () => boolean;
}

/** An event, and where its reader stands with it. */
export interface PageEntry {
  readonly event: HubEvent;
  readonly stand: Stand;
}

/** A stretch of a log, oldest first. */
export interface Page {
  readonly entries: readonly PageEntry[];
  /** Where the page ends: the next one begins there, and so can a socket. */
  readonly cursor: string;
  readonly hasMore: boolean;
  /** True if something between the cursor that was given and the end of the page is gone from the log. */
  readonly isEvicted: boolean;
}

/** How many of these events make a page: as many as it may have, and no more bytes than it may have but for one. */
export function countForPage(events: readonly HubEvent[], limit: number): number {
  let bytes = 0;
  let count = 0;
  for (const event of events) {
    bytes += event.bytes;
    if (count === limit || (count > 0 && bytes > PAGE_BYTES_MAX)) break;
    count += 1;
  }
  return count;
}
