import { positionMatches, type StreamPosition } from '@infrasignal/shared';
import type { LogView } from './resume.ts';
import type { SharedReader } from './shared-reader.ts';

/**
 * True if a cursor's hint holds: the event that it names is where it says, so that the log behind that place is the one
 * that the client has not seen.
 *
 * @throws StreamUnreadableError, ReadRefusedError
 */
export async function isTrueHint(
  reader: SharedReader,
  { userId, log }: { readonly userId: number; readonly log: LogView },
  hint: StreamPosition,
): Promise<boolean> {
  // Before the first message of all: true while that first message is still held, or was never written.
  if (hint.sequence === 0) return log.readThrough === 0 || (await reader.findAt(userId, 1)) !== null;
  const decoded = (await reader.findAt(userId, hint.sequence))?.decoded;
  return decoded?.ok === true && positionMatches(hint, decoded.event.position.eventId);
}
