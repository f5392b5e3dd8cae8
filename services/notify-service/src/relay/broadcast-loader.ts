import { ALL_BROADCASTS } from '@infrasignal/shared';
import type { OpenEpoch } from './consumer-epoch.ts';
import { readPast } from './past-reader.ts';
import type { StreamMessage } from './stream-message.ts';

/**
 * Reads everything that was sent to everybody up to a position, in order: whoever comes back for it is then answered
 * from memory. They are few, a hundred thousand of them are read in a second; so it is all of them.
 *
 * @throws Error when they could not be read to the end: a node that does not know them can tell nobody what they missed
 */
export async function loadBroadcasts(
  openEpoch: OpenEpoch,
  throughSequence: number,
  onMessage: (message: StreamMessage) => void,
): Promise<void> {
  await readPast(openEpoch, { fromTimeMs: null }, ALL_BROADCASTS, (message) => {
    if (message.sequence <= throughSequence) onMessage(message);
    return message.sequence >= throughSequence;
  });
}
