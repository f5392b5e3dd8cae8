export interface WheelTimer {
  readonly dueTick: number;
  readonly callback: () => void;
}

export interface TimingWheelOptions {
  /** Resolution: a timer fires up to this much late, never early. In milliseconds. */
  readonly tickMs: number;
  /** More slots mean fewer timers looked at in vain per tick. */
  readonly slots: number;
  readonly nowMs: number;
}

/**
 * Many timers for the price of one (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", scheme 6): setting
 * and cancelling touch one set, and one interval of the process drives them all by calling `advance`. With ten
 * thousand sockets that each have a ping and an expiry, the event loop's own timers would be re-sorted all the time.
 */
export class TimingWheel {
  readonly #tickMs: number;
  readonly #slots: readonly Set<WheelTimer>[];
  readonly #startMs: number;
  #currentTick = 0;
  #size = 0;

  constructor({ tickMs, slots, nowMs }: TimingWheelOptions) {
    this.#tickMs = tickMs;
    this.#slots = Array.from({ length: slots }, () => new Set<WheelTimer>());
    this.#startMs = nowMs;
  }

  /** Timers that are waiting. */
  get size(): number {
    return this.#size;
  }

  /** Calls back once, `delayMs` after the last `advance` or later. A delay of 0 or less fires at the next tick. */
  schedule(delayMs: number, callback: () => void): WheelTimer {
    // One tick more than the delay: a part of the current tick has already passed, and early is worse than late.
    const ticks = Math.max(1, Math.ceil(delayMs / this.#tickMs) + 1);
    const timer = { dueTick: this.#currentTick + ticks, callback };
    this.#slotOf(timer.dueTick).add(timer);
    this.#size += 1;
    return timer;
  }

  /** Harmless for a timer that has fired. */
  cancel(timer: WheelTimer): void {
    if (this.#slotOf(timer.dueTick).delete(timer)) this.#size -= 1;
  }

  /** Fires everything that is due at `nowMs`, in order of time. */
  advance(nowMs: number): void {
    const targetTick = Math.floor((nowMs - this.#startMs) / this.#tickMs);
    while (this.#currentTick < targetTick) {
      this.#currentTick += 1;
      const slot = this.#slotOf(this.#currentTick);
      for (const timer of slot) {
        if (timer.dueTick > this.#currentTick) continue;
        slot.delete(timer);
        this.#size -= 1;
        timer.callback();
      }
    }
  }

  #slotOf(tick: number): Set<WheelTimer> {
    const slot = this.#slots[tick % this.#slots.length];
    if (slot === undefined) throw new RangeError('a timing wheel has at least one slot');
    return slot;
  }
}
