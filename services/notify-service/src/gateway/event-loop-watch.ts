import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How exactly a delay is seen; what is measured on an idle loop includes it. */
const RESOLUTION_MS = 10;

/** The mean is taken over this long: a single pause for garbage is no overload, half a second of late turns is. */
const WINDOW_MS = 500;

const NANOSECONDS_PER_MS = 1_000_000;

/** How late the event loop is: the wait of everything that has arrived and was not yet looked at. */
export class EventLoopWatch {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #timer: NodeJS.Timeout | null = null;
  /** The mean over the last window, in milliseconds. */
  delayMs = 0;

  start(): void {
    this.#histogram.enable();
    this.#timer = setInterval(() => {
      // No sample at all (NaN) is no delay.
      this.delayMs = Math.max(0, this.#histogram.mean / NANOSECONDS_PER_MS - RESOLUTION_MS) || 0;
      this.#histogram.reset();
    }, WINDOW_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#histogram.disable();
  }
}
