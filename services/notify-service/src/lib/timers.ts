/** Stops what was started. Harmless when it has happened. */
export type Cancel = () => void;

/** All that code in here may know of time: whoever drives it gives it, a process its own and a test any other. */
export interface Timers {
  /** Milliseconds that only ever grow; not the time of day. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly timeOfDay: () => number;
  /** Once, after what is now happening and what has arrived. */
  readonly soon: (task: () => void) => void;
  /** Once, when so many milliseconds have passed. */
  readonly after: (delayMs: number, task: () => void) => Cancel;
  /** Again and again, until it is cancelled. */
  readonly every: (intervalMs: number, task: () => void) => Cancel;
}

/** The time of this process. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  timeOfDay: () => Date.now(),
  soon: (task) => {
    setImmediate(task);
  },
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
  every: (intervalMs, task) => {
    const timer = setInterval(task, intervalMs);
    return () => {
      clearInterval(timer);
    };
  },
};
