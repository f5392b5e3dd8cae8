import type { Connection } from './connection.ts';
import type { HubStats } from './hub-stats.ts';
import type { Clock, HubEvent, HubTimings, Schedule } from './ports.ts';

/** Writing goes on for at most this long before anything else gets its turn: what a ping may notice. */
const SLICE_MS = 5;

/** Reading the clock costs as much as a small write; once in this many is often enough for the slice. */
const CLOCK_EVERY = 32;

/** Bytes that wait: `due` to be written, or handed over and `unread` by a peer that is slow. */
export interface UnsentBytes {
  readonly due: number;
  readonly unread: number;
}

/** Writes what is due, one write per socket and round, in slices that leave the event loop to others. */
export class SendLoop {
  readonly #clock: Clock;
  readonly #schedule: Schedule;
  readonly #stats: HubStats;
  #due: Connection[] = [];
  #isScheduled = false;
  /** Connections whose peers had not read everything when they were last written to. */
  readonly #backlogged = new Set<Connection>();
  readonly #timings: HubTimings | undefined;
  #timed: HubEvent[] = [];

  constructor(clock: Clock, schedule: Schedule, stats: HubStats, timings?: HubTimings) {
    this.#clock = clock;
    this.#schedule = schedule;
    this.#stats = stats;
    this.#timings = timings;
  }

  get unsentBytes(): UnsentBytes {
    let [due, unread] = [0, 0];
    for (const connection of this.#due) due += connection.queuedBytes;
    for (const connection of this.#backlogged) {
      const bytes = connection.port.bufferedBytes();
      if (bytes === 0) this.#backlogged.delete(connection);
      unread += bytes;
    }
    return { due, unread };
  }

  /** Tells `timings` of the event when everything that is due now has been written. */
  time(event: HubEvent): void {
    if (this.#timings === undefined) return;
    this.#timed.push(event);
    this.#scheduleRun();
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
    if (connection.port.bufferedBytes() > 0) this.#backlogged.add(connection);
  }

  /** The connection is gone, and what was due to it with it. */
  forget(connection: Connection): void {
    connection.takeQueue();
    this.#backlogged.delete(connection);
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
      this.#scheduleRun();
      return;
    }
    for (const event of this.#timed.splice(0)) this.#timings?.written(event);
  }
}
