import type { Connection } from './connection.ts';
import type { HubStats } from './hub-stats.ts';
import type { Clock, Schedule } from './ports.ts';

/** Writing goes on for at most this long before anything else gets its turn: what a ping may notice. */
const SLICE_MS = 5;

/** Reading the clock costs as much as a small write; once in this many is often enough for the slice. */
const CLOCK_EVERY = 32;

/** Writes what is due, one write per socket and round, in slices that leave the event loop to others. */
export class SendLoop {
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  readonly #stats: HubStats;
  #due: Connection[] = [];
  #isScheduled = false;

  constructor(clock: Clock, schedule: Schedule, stats: HubStats) {
    this.#clock = clock;
    this.#schedule = schedule;
    this.#stats = stats;
  }

  /** Call after each frame put into a connection's queue. */
  add(connection: Connection): void {
    // With more than one frame queued it is on the list already.
    if (connection.queue.length > 1) return;
    this.#due.push(connection);
    this.#scheduleRun();
  }

  /** Writes what is due to one connection now. */
  flush(connection: Connection): void {
    if (connection.queue.length === 0) return;
    const bytes = connection.queuedBytes;
    const frames = connection.takeQueue();
    connection.port.write(frames);
    this.#stats.writes += 1;
    this.#stats.framesWritten += frames.length;
    this.#stats.bytesWritten += bytes;
  }

  #scheduleRun(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#run();
    });
  }

  #run(): void {
    this.#isScheduled = false;
    const due = this.#due;
    this.#due = [];
    const startMs = this.#clock.now();
    for (const [at, connection] of due.entries()) {
      this.flush(connection);
      // The extra bytes were for the replay; once that has left, the ordinary limit holds.
      if (connection.allowanceBytes > 0 && connection.port.bufferedBytes() === 0) connection.allowanceBytes = 0;
      if (at % CLOCK_EVERY !== CLOCK_EVERY - 1 || this.#clock.now() - startMs < SLICE_MS) continue;
      this.#due = [...due.slice(at + 1), ...this.#due];
      if (this.#due.length > 0) this.#scheduleRun();
      return;
    }
  }
}
