/** What somebody else said about their time of day. */
export interface TimeTold {
  /** In milliseconds since 1970: no earlier than this when it was said. */
  readonly earliestMs: number;
  /** Nor later than this: more than `earliestMs` if they tell whole seconds only. */
  readonly latestMs: number;
  /** When they were asked and when the answer was here, by the clock that never steps (`performance.now()`). */
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

/**
 * The time of day that somebody else keeps: what they told, carried on by a clock that never steps. Whoever sets the
 * clock of this machine, or never set it, changes nothing here.
 *
 * Between question and answer there is no telling when it was said. So each answer gives a span in which the other
 * clock must be; one that is within it already is left as it is, and a slow answer does not move it about.
 */
export class ReferenceClock {
  readonly #steady: () => number;
  /** Theirs minus the steady one; null: nothing was told yet. */
  #offsetMs: number | null = null;

  /** @param steady milliseconds that only grow */
  constructor(steady: () => number = () => performance.now()) {
    this.#steady = steady;
  }

  /** Whole milliseconds since 1970, as `Date.now()` tells them; null until something was told. */
  read(): number | null {
    return this.#offsetMs === null ? null : Math.floor(this.#steady() + this.#offsetMs);
  }

  learn({ earliestMs, latestMs, askedAtMs, answeredAtMs }: TimeTold): void {
    const [low, high] = [earliestMs - answeredAtMs, latestMs - askedAtMs];
    this.#offsetMs = this.#offsetMs === null ? (low + high) / 2 : Math.min(Math.max(this.#offsetMs, low), high);
  }
}
