import type { Connection } from './connection.ts';
import type { HubEvent } from './ports.ts';

/** What a user's event is to a connection: had before, the next one, or behind one that is missing. */
export type PlaceInLog = 'repeated' | 'next' | 'after_a_hole';

/** Decides by the user's own counter, and on the feed of everything by where its reader stood when it came. */
export function placeInLog(connection: Connection, { position, seq }: HubEvent, userId: number): PlaceInLog {
  const { audience, lastSeq, replayedSeqs, seenThrough, skippedSeqs } = connection;
  if (audience.kind === 'everything') {
    const isSeen = position.sequence <= seenThrough || seq <= (replayedSeqs?.get(userId) ?? 0);
    return isSeen ? 'repeated' : 'next';
  }
  if (lastSeq === null) return 'next';
  if (seq <= lastSeq) return 'repeated';
  return seq > lastSeq + 1 + (skippedSeqs ?? 0) ? 'after_a_hole' : 'next';
}
