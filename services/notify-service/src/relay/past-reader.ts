import type { EpochStart, OpenEpoch } from './consumer-epoch.ts';
import type { StreamMessage } from './stream-message.ts';

/**
 * Reads what the stream holds already, in order, with a consumer of its own.
 *
 * @param filter only these subjects; null for all
 * @param onMessage true when it has enough
 * @throws Error when the reading broke off before its end
 */
export async function readPast(
  openEpoch: OpenEpoch,
  start: EpochStart,
  filter: string | null,
  onMessage: (message: StreamMessage) => boolean,
): Promise<void> {
  const epoch = await openEpoch(start, filter);
  let missing = epoch.pendingAtStart;
  if (missing > 0) {
    await epoch.read((message) => {
      missing -= 1;
      if (onMessage(message)) missing = 0;
      if (missing === 0) epoch.end('stopped');
    });
    await epoch.ended;
  } else {
    epoch.end('stopped');
  }
  if (missing > 0) throw new Error('what the event stream holds could not be read to its end');
}
