import type { Timers } from '../lib/timers.ts';
import type { EpochEnd } from './consumer-epoch.ts';
import { isOtherLog, type ReadPlace } from './resume-point.ts';
import type { StreamReader } from './stream-reader.ts';

/** One question a second: nothing to the broker, and a stalled consumer is found within seven. */
const CHECK_INTERVAL_MS = 1_000;

/** A consumer that does not move for this long, while the stream holds more, is not going to. */
const STALLED_MS = 5_000;

/**
 * Compares what was read with what the stream's leader holds. It finds the consumer that went quiet without an error,
 * and the log that was changed under a connection that never broke.
 */
export class StreamWatchdog {
  readonly #reader: Pick<StreamReader, 'getState'>;
  readonly #timers: Timers;

  constructor(reader: Pick<StreamReader, 'getState'>, timers: Timers) {
    this.#reader = reader;
    this.#timers = timers;
  }

  /**
   * Watches one epoch. Returns what ends the watching.
   * @param placeOf where the reading is now
   */
  watch(placeOf: () => ReadPlace | null, onDoubt: (reason: EpochEnd) => void): () => void {
    let stalledSinceMs: number | null = null;
    let stalledAt = -1;
    let isAsking = false;
    const check = async (): Promise<void> => {
      const before = placeOf();
      if (before === null || isAsking) return;
      const { createdAt, readThrough: readBefore } = before;
      isAsking = true;
      try {
        const state = await this.#reader.getState();
        if (isOtherLog({ createdAt, readThrough: readBefore }, state)) {
          onDoubt('stream_changed');
          return;
        }
        const readThrough = placeOf()?.readThrough ?? readBefore;
        if (state.lastSequence <= readThrough || readThrough !== stalledAt) {
          stalledSinceMs = null;
          stalledAt = readThrough;
          if (state.lastSequence <= readThrough) return;
        }
        stalledSinceMs ??= this.#timers.now();
        if (this.#timers.now() - stalledSinceMs >= STALLED_MS) onDoubt('behind');
      } catch {
        // The broker did not answer: that is noticed elsewhere, and no reason to doubt the reading.
      } finally {
        isAsking = false;
      }
    };
    return this.#timers.every(CHECK_INTERVAL_MS, () => void check());
  }
}
