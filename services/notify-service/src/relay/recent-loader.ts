import type { Timers } from '../lib/timers.ts';
import type { OpenEpoch } from './consumer-epoch.ts';
import { readPast } from './past-reader.ts';
import type { StreamMessage } from './stream-message.ts';

/**
 * Messages that a node reads at its start, 0.2 s of its time: what happened in the last minutes, for which those come
 * back whom its restart cut off, and what it must not tell as new when the log changes and is read again: also where
 * fewer are kept. Fewer would have the broker asked for them one by one; more delay the start.
 */
const RECENT_MESSAGES_MAX = 10_000;

/**
 * Reads the newest messages up to a position, in order.
 * @param throughSequence the stream's leader has a message there
 * @throws Error when they could not be read to the end
 */
export async function loadRecentEvents(
  openEpoch: OpenEpoch,
  throughSequence: number,
  timers: Timers,
  onMessage: (message: StreamMessage) => void,
): Promise<void> {
  const fromSequence = Math.max(1, throughSequence - RECENT_MESSAGES_MAX + 1);
  await readPast(openEpoch, { start: { fromSequence }, filter: null, throughSequence }, timers, onMessage);
}
