/** Smallest upper bound of a delay. Lower: a flapping server is hammered; higher: a short hiccup is felt. */
export const BACKOFF_BASE_MS = 500;
/** Largest upper bound of a delay. Lower: thousands of pages press on a server in trouble; higher: recovery is late. */
export const BACKOFF_CAP_MS = 30_000;

/**
 * Full-jitter exponential back-off: each delay is drawn evenly from 0 to min(cap, base · 2^attempt), which spreads
 * clients that lost the same server over the whole window instead of letting them come back together.
 *
 * @param {{ baseMs?: number, capMs?: number, random?: () => number }} [options] `random` gives numbers in [0, 1)
 * @returns {{ next: () => number, reset: () => void }} `next` gives the delay in milliseconds before the next try
 */
export function createBackoff({ baseMs = BACKOFF_BASE_MS, capMs = BACKOFF_CAP_MS, random = Math.random } = {}) {
  let attempt = 0;
  return {
    next() {
      const ceilingMs = Math.min(capMs, baseMs * 2 ** attempt);
      // Once the cap is reached the exponent stops growing: it must not run into Infinity over a long night.
      if (ceilingMs < capMs) attempt += 1;
      return Math.floor(random() * ceilingMs);
    },
    reset() {
      attempt = 0;
    },
  };
}
