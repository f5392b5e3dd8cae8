import { encodeOwnCursor, type OwnCursor } from '@infrasignal/shared';
import type { Hub } from '../hub/hub.ts';
import type { HubEvent, Stand } from '../hub/ports.ts';
import { isTrueHint } from '../relay/hint.ts';
import { readOwnCursor, type Newest, type OwnJoin, type OwnResume } from '../relay/own-resume.ts';
import { JoinAbandonedError } from '../relay/resume.ts';
import type { SharedReader } from '../relay/shared-reader.ts';
import { mergeByPosition, type UserResume } from '../relay/user-resume.ts';
import { countForPage, PAGE_BYTES_MAX, type Page, type PageEntry, type PageQuery } from './page.ts';

export interface OwnHistoryOptions {
  readonly reader: SharedReader;
  readonly ownResume: Pick<OwnResume, 'findNewest'>;
  readonly userResume: Pick<UserResume, 'findMissed'>;
  readonly hub: Pick<Hub, 'broadcasts'>;
}

interface Stretch {
  readonly events: readonly HubEvent[];
  readonly isEvicted: boolean;
}

interface OwnStretch extends Stretch {
  /** True if nothing of the user's is held and nothing proves where the cursor stands: it is worth nothing then. */
  readonly isLost: boolean;
}

/** Pages of what a user may see: their own log and that of everybody, in the order of the stream. */
export class OwnHistory {
  readonly #options: OwnHistoryOptions;

  constructor(options: OwnHistoryOptions) {
    this.#options = options;
  }

  /** @throws StreamUnreadableError, ReadRefusedError, JoinAbandonedError */
  async read(userId: number, query: PageQuery): Promise<Page | 'unknown_cursor'> {
    const join: OwnJoin = { userId, after: query.after, log: query.log, isWanted: query.isWanted };
    const cursor = readOwnCursor(join);
    if (cursor === null && query.after !== null) return 'unknown_cursor';
    const newest = await this.#options.ownResume.findNewest(join);
    if (cursor !== null && newest.seq !== null && cursor.seq > newest.seq) return 'unknown_cursor';
    const missed = await this.#findBroadcasts(join, cursor);
    if (missed === 'unknown_cursor') return missed;
    const own = await this.#readOwn(join, cursor, newest, query.limit);
    const registration = own.events.find(({ seq }) => seq === 1)?.position.sequence ?? 0;
    // Who registered later was not told.
    const broadcasts = missed.events.filter(({ position }) => position.sequence > registration);
    const merged = mergeByPosition(own.events, broadcasts);
    const events = merged.slice(0, countForPage(merged, query.limit));
    const stand: Stand = { userId, seq: cursor?.seq ?? 0, broadcastSeq: missed.seq };
    const entries = toEntries(stand, events);
    const hasMore = events.length < merged.length;
    return {
      entries,
      cursor: hasMore ? cursorAt(entries.at(-1)) : cursorAtEnd(own.isLost ? { ...stand, seq: 0 } : (entries.at(-1)?.stand ?? stand), newest, query),
      hasMore,
      isEvicted: own.isEvicted || missed.isEvicted,
    };
  }

  async #findBroadcasts(
    join: OwnJoin,
    cursor: OwnCursor | null,
  ): Promise<(Stretch & { readonly seq: number }) | 'unknown_cursor'> {
    const { hub, userResume } = this.#options;
    const missed: Awaited<ReturnType<UserResume['findMissed']>> | null =
      cursor === null ? null : await userResume.findMissed(join, cursor);
    if (missed === 'unknown_cursor') return missed;
    if (missed !== null && typeof missed !== 'string') return { ...missed, isEvicted: false };
    const events = hub.broadcasts.heldThrough(join.log.broadcastSeq);
    const seq = cursor?.broadcastSeq ?? 0;
    return { seq, events, isEvicted: missed !== null };
  }

  /** So many of the user's own events after the cursor, and one more if there is one; what is gone is passed over. */
  async #readOwn(join: OwnJoin, cursor: OwnCursor | null, newest: Newest, limit: number): Promise<OwnStretch> {
    const { reader } = this.#options;
    const { userId, log, isWanted } = join;
    const events: HubEvent[] = [];
    const hint = cursor?.hint ?? null;
    const isPlaced = hint !== null && hint.sequence > 0 && (await isTrueHint(reader, join, hint));
    const isLost = newest.position === null && !isPlaced;
    let lastSeq = cursor?.seq ?? 0;
    // Before a true place at which the user had nothing, nothing of theirs can be missing.
    let mayStartAnywhere = isPlaced && lastSeq === 0;
    let isEvicted = false;
    let skipped = 0;
    let bytes = 0;
    let from = isPlaced ? hint.sequence + 1 : 1;
    const lastSequence = Math.min(newest.position?.sequence ?? 0, log.readThrough);
    while (from <= lastSequence && lastSeq < (newest.seq ?? Infinity)) {
      if (!isWanted()) throw new JoinAbandonedError();
      const found = await reader.findOfUser(userId, userId, from);
      if (found.length === 0) break;
      for (const { sequence, decoded } of found) {
        from = sequence + 1;
        if (sequence > lastSequence) break;
        if (!decoded.ok) {
          skipped += 1;
          continue;
        }
        const { event } = decoded;
        if (event.seq <= lastSeq) continue;
        if (events.length > limit || bytes > PAGE_BYTES_MAX) return { events, isEvicted, isLost };
        isEvicted ||= !mayStartAnywhere && event.seq > lastSeq + 1 + skipped;
        mayStartAnywhere = false;
        skipped = 0;
        lastSeq = event.seq;
        bytes += event.bytes;
        events.push(event);
      }
    }
    // A cursor of which nothing is left: something may have come after it and be gone, too.
    const isUnknown = isLost && cursor !== null && cursor.seq > 0;
    return { events, isEvicted: isEvicted || isUnknown || isShortOf(newest, lastSeq, log.readThrough), isLost };
  }
}

/** True if the log ended before the newest event, although this node has read that far: it is gone. */
function isShortOf({ seq, position }: Newest, lastSeq: number, readThrough: number): boolean {
  return seq !== null && seq > lastSeq && position !== null && position.sequence <= readThrough;
}

function cursorAt(last: PageEntry | undefined): string {
  if (last === undefined) throw new Error('a page that is followed by another one is not empty');
  const { userId, seq, broadcastSeq } = last.stand;
  return encodeOwnCursor(userId, seq, last.event.position, broadcastSeq);
}

/** Behind the last page lies nothing that this node has read: the later the place, the longer it is held. */
function cursorAtEnd({ userId, seq }: Stand, newest: Newest, { log }: PageQuery): string {
  const isRead = newest.seq !== null && (newest.position?.sequence ?? Infinity) <= log.readThrough;
  return encodeOwnCursor(userId, isRead ? newest.seq : seq, log.anchor, log.broadcastSeq);
}

function toEntries(start: Stand, events: readonly HubEvent[]): PageEntry[] {
  let stand = start;
  return events.map((event) => {
    stand = event.userId === null ? { ...stand, broadcastSeq: event.seq } : { ...stand, seq: event.seq };
    return { event, stand };
  });
}
