import { encodeFeedCursor, parseCursor, type StreamPosition } from '@infrasignal/shared';
import type { Stand } from '../hub/ports.ts';
import type { LogEntry } from '../relay/log-entry.ts';
import { JoinAbandonedError } from '../relay/resume.ts';
import type { SharedReader } from '../relay/shared-reader.ts';
import { StreamUnreadableError } from '../relay/stream-reader.ts';
import { countForPage, type Page, type PageEntry, type PageQuery } from './page.ts';

/** Nobody's own log: the feed of everything has one order for all. */
const STAND: Stand = { userId: 0, seq: 0, broadcastSeq: 0 };

/** Messages in a row that are no events before a page is given up as empty. A broken publisher is what makes them. */
const STRETCHES_MAX = 16;

interface Start {
  readonly fromSequence: number;
  readonly isEvicted: boolean;
}

/** Pages of the feed of everything: the stream as it is, but for messages that are no events. */
export class FeedHistory {
  readonly #reader: SharedReader;

  constructor(reader: SharedReader) {
    this.#reader = reader;
  }

  /** @throws StreamUnreadableError, ReadRefusedError, JoinAbandonedError */
  async read(query: PageQuery): Promise<Page | 'unknown_cursor'> {
    const { limit, log } = query;
    const start = await this.#findStart(query);
    if (start === 'unknown_cursor') return start;
    const found: PageEntry[] = [];
    let next = start.fromSequence;
    for (let stretches = 0; next <= log.readThrough && found.length < limit; stretches += 1) {
      if (stretches === STRETCHES_MAX) throw new StreamUnreadableError();
      const entries = await this.#readStretch(query, next, Math.min(limit, log.readThrough - next + 1));
      next += entries.length;
      for (const { decoded } of entries) if (decoded.ok) found.push({ event: decoded.event, stand: STAND });
    }
    const count = countForPage(found.map(({ event }) => event), limit);
    const entries = found.slice(0, count);
    const hasMore = count < found.length || next <= log.readThrough;
    const last = entries.at(-1)?.event.position;
    const cursor = encodeFeedCursor(hasMore && last !== undefined ? last : log.anchor);
    return { entries, cursor, hasMore, isEvicted: start.isEvicted };
  }

  /** Where the page begins: behind the cursor, if the stream holds its event there; else at the oldest that is held. */
  async #findStart(query: PageQuery): Promise<Start | 'unknown_cursor'> {
    const { after } = query;
    const cursor = after === null ? null : parseCursor(after);
    if (after !== null && cursor?.kind !== 'feed') return 'unknown_cursor';
    const position: StreamPosition = cursor?.kind === 'feed' ? cursor.position : { sequence: 0, eventId: '' };
    const { sequence, eventId } = position;
    const decoded = sequence === 0 ? undefined : (await this.#reader.findAt(query, sequence))?.decoded;
    if (decoded?.ok === true && decoded.event.position.eventId === eventId) {
      return { fromSequence: sequence + 1, isEvicted: false };
    }
    const { firstSequence } = await this.#reader.getState();
    if (sequence >= Math.max(1, firstSequence)) return 'unknown_cursor';
    if (sequence === 0 && eventId !== '') return 'unknown_cursor';
    return { fromSequence: Math.max(1, firstSequence), isEvicted: firstSequence > sequence + 1 };
  }

  async #readStretch(query: PageQuery, fromSequence: number, count: number): Promise<readonly LogEntry[]> {
    if (!query.isWanted()) throw new JoinAbandonedError();
    const entries = await this.#reader.findRange(query, fromSequence, count);
    // Gone since it was looked for: at the next attempt the log begins behind it.
    if (entries === null) throw new StreamUnreadableError();
    return entries;
  }
}
