import { ALL_BROADCASTS } from '@infrasignal/shared';
import type { Timers } from '../lib/timers.ts';
import type { OpenEpoch } from './consumer-epoch.ts';
import { readPast } from './past-reader.ts';
import type { StreamMessage } from './stream-message.ts';

/**
 * Reads everything that was sent to everybody up to the newest of it, in order: whoever comes back for it is then answered
 * from memory. They are few, a hundred thousand of them are read in a second; so it is all of them.
 *
 * @param throughSequence where the stream's leader has the newest one
 * @throws Error when they could not be read to the end: a node that does not know them can tell nobody what they missed
 */
export async function loadBroadcasts(
  openEpoch: OpenEpoch,
  throughSequence: number,
  timers: Timers,
  onMessage: (message: StreamMessage) => void,
): Promise<void> {
  const reading = { start: { fromTimeMs: null }, filter: ALL_BROADCASTS, throughSequence };
  await readPast(openEpoch, reading, timers, onMessage);
}
