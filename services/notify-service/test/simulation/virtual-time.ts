import type { Cancel, Timers } from '../../src/lib/timers.ts';

/** Any time of day: nothing may depend on which. */
const START_MS = Date.UTC(2030, 0, 1);

interface Due {
  readonly atMs: number;
  readonly order: number;
  task: (() => void) | null;
}

/** Lets everything that only waits for promises happen. It is a turn of the loop, not a wait. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Numbers between 0 and 1 that a seed decides (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number from `from` to before `to`. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from));
  }

  happens(probability: number): boolean {
    return this.next() < probability;
  }
}

/** A clock that only moves from one thing that is due to the next: what happens is decided by the schedule alone. */
export class VirtualTime {
  nowMs = 0;
  #heap: Due[] = [];
  #order = 0;

  get timeOfDayMs(): number {
    return START_MS + this.nowMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    this.#order += 1;
    const due: Due = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order, task };
    this.#push(due);
    return () => {
      due.task = null;
    };
  }

  /** Goes on until so much time has passed, or what is waited for holds. False: it does not. */
  async pass(durationMs: number, isEnough: () => boolean = () => false): Promise<boolean> {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      if (isEnough()) return true;
      const due = this.#heap[0];
      if (due === undefined || due.atMs > endMs) break;
      this.#pop();
      if (due.task === null) continue;
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.task();
      await settle();
    }
    this.nowMs = Math.max(this.nowMs, endMs);
    return isEnough();
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, due)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** The time of one process: it ends with it. */
export class ProcessTimers implements Timers {
  readonly #time: VirtualTime;
  /** What looking at the clock takes: a busy process, whose work is cut into slices. */
  readonly #costMs: number;
  #isDead = false;

  constructor(time: VirtualTime, costMs: number) {
    this.#time = time;
    this.#costMs = costMs;
  }

  kill(): void {
    this.#isDead = true;
  }

  now = (): number => {
    this.#time.nowMs += this.#costMs;
    return this.#time.nowMs;
  };

  timeOfDay = (): number => this.#time.timeOfDayMs;

  soon = (task: () => void): void => {
    this.after(0, task);
  };

  after = (delayMs: number, task: () => void): Cancel =>
    this.#time.after(delayMs, () => {
      if (!this.#isDead) task();
    });

  every = (intervalMs: number, task: () => void): Cancel => {
    let isOver = false;
    const next = (): void => {
      this.after(intervalMs, () => {
        if (isOver) return;
        task();
        next();
      });
    };
    next();
    return () => {
      isOver = true;
    };
  };
}
