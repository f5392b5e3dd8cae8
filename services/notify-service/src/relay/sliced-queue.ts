import type { Clock, Schedule } from '../hub/ports.ts';

/** Handling goes on for at most this long before anything else gets its turn: what a ping may notice. */
const SLICE_MS = 5;

/**
 * Things that may wait. One that waits costs memory, so beyond this they are handled at once, slice or not: then the
 * connection that they come from waits instead. As many as are asked for ahead (PULL_MESSAGES_MAX).
 */
const WAITING_MAX = 1_000;

/**
 * Handles what it is given in order: at once while there is time in this turn of the event loop, else in the next
 * ones. What arrives in one packet would otherwise be handled in one go: 150 events for 5,000 sockets each.
 */
export class SlicedQueue<Item> {
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  readonly #handle: (item: Item) => void;
  #waiting: Item[] = [];
  #spentMs = 0;
  #isScheduled = false;

  constructor(clock: Clock, schedule: Schedule, handle: (item: Item) => void) {
    this.#clock = clock;
    this.#schedule = schedule;
    this.#handle = handle;
  }

  add(item: Item): void {
    if (this.#waiting.length > 0 || this.#spentMs >= SLICE_MS) {
      this.#waiting.push(item);
      if (this.#waiting.length > WAITING_MAX) this.#handleWaiting(Infinity);
    } else {
      this.#spend(item);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#turn();
    });
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = [];
  }

  #turn(): void {
    this.#isScheduled = false;
    this.#spentMs = 0;
    this.#handleWaiting(SLICE_MS);
    if (this.#waiting.length === 0) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#turn();
    });
  }

  #handleWaiting(sliceMs: number): void {
    const items = this.#waiting;
    let at = 0;
    // What is handled may clear what waits, and then the rest is nobody's any more.
    while (at < items.length && this.#waiting === items && this.#spentMs < sliceMs) {
      const item = items[at] as Item;
      at += 1;
      this.#spend(item);
    }
    if (this.#waiting === items) this.#waiting = items.slice(at);
  }

  #spend(item: Item): void {
    const startMs = this.#clock.now();
    this.#handle(item);
    this.#spentMs += this.#clock.now() - startMs;
  }
}
