import { setTimeout as sleep } from 'node:timers/promises';
import { errorText } from './stack-error.ts';

export interface WaitForOptions {
  /** How long to keep trying. */
  timeoutMs?: number | undefined;
  /** Pause between two tries. */
  intervalMs?: number;
  /** What is being waited for; appears in the error. */
  description?: string;
  /** Checked between tries: throw from it to give up early, for instance because a process has died. */
  abortIf?: () => void;
}

// Long enough for a loaded two-core machine to do anything a test waits for, short enough that a
// failing test still reports before tap's own time limit.
const DEFAULT_TIMEOUT_MS = 30_000;

// Shorter would burn the processor that the awaited thing needs; longer would add up over a test run.
const DEFAULT_INTERVAL_MS = 20;

/**
 * Calls `condition` until it returns something truthy (other than `false`, `null`, `undefined`, `0`, `''`)
 * and resolves with that value. A throwing condition counts as "not yet".
 *
 * @throws Error with the description, the time waited and the last error or value, when the time is up.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<Exclude<Awaited<T>, false | null | undefined | 0 | ''>> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, intervalMs = DEFAULT_INTERVAL_MS } = options;
  const startedAt = performance.now();
  for (;;) {
    let last: string;
    options.abortIf?.();
    try {
      const value = await condition();
      if (value) return value as Exclude<Awaited<T>, false | null | undefined | 0 | ''>;
      last = `last value: ${String(value)}`;
    } catch (error) {
      last = `last error: ${errorText(error)}`;
    }
    const waitedMs = performance.now() - startedAt;
    if (waitedMs >= timeoutMs) {
      const what = options.description ?? 'a condition';
      throw new Error(`Gave up waiting for ${what} after ${Math.round(waitedMs)} ms (${last})`);
    }
    await sleep(intervalMs);
  }
}
