import type { Cancel, Timers } from '../lib/timers.ts';
import type { ConsumerEpoch, EpochEnd, EpochStart, OpenEpoch } from './consumer-epoch.ts';
import type { StreamMessage } from './stream-message.ts';

/**
 * A consumer lives on one of the stream's copies, and that copy may be behind: it is waited for as long as it comes
 * nearer. Shorter would give up on a broker that is only busy; longer delays the start of a node.
 */
const STALLED_MS = 500;

/** Consumers, one after the other, each on a copy that the broker chooses: of three copies one may be behind for long. */
const CONSUMERS_MAX = 8;

export interface PastReading {
  readonly start: EpochStart;
  /** Only these subjects; null for all. */
  readonly filter: string | null;
  /**
   * The last position to be read. The stream's leader has to have said that a message which passes the filter is there:
   * what a consumer itself says of how much there is, it says of its copy.
   */
  readonly throughSequence: number;
}

/**
 * Reads what the stream holds already, in order, with consumers of its own.
 *
 * @throws Error when the reading broke off before its end
 */
export async function readPast(
  openEpoch: OpenEpoch,
  { start, filter, throughSequence }: PastReading,
  timers: Timers,
  onMessage: (message: StreamMessage) => void,
): Promise<void> {
  let next = start;
  let isWhole = false;
  const read = (message: StreamMessage): boolean => {
    next = { fromSequence: message.sequence + 1 };
    if (message.sequence <= throughSequence) onMessage(message);
    isWhole = message.sequence >= throughSequence;
    return isWhole;
  };
  let cause: unknown;
  const noteFailure = (error: unknown): null => {
    cause = error;
    return null;
  };
  for (let consumers = 0; consumers < CONSUMERS_MAX && !isWhole; consumers += 1) {
    const epoch = await openEpoch(next, filter).catch(noteFailure);
    if (epoch !== null && (await readUntilStalled(epoch, timers, read)) !== 'behind') break;
  }
  if (!isWhole) throw new Error('what the event stream holds could not be read to its end', { cause });
}

/** @param onMessage true when it has enough */
async function readUntilStalled(
  epoch: ConsumerEpoch,
  timers: Timers,
  onMessage: (message: StreamMessage) => boolean,
): Promise<EpochEnd> {
  const giveUpLater = (): Cancel =>
    timers.after(STALLED_MS, () => {
      epoch.end('behind');
    });
  let cancel = giveUpLater();
  let isEnough = false;
  await epoch.read((message) => {
    if (isEnough) return;
    cancel();
    isEnough = onMessage(message);
    if (isEnough) epoch.end('stopped');
    else cancel = giveUpLater();
  });
  const reason = await epoch.ended;
  cancel();
  return reason;
}
