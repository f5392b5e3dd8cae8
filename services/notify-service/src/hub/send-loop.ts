import type { Connection } from './connection.ts';
import type { FeedFanOut, SharedFrames } from './feed-fan-out.ts';
import type { HubStats } from './hub-stats.ts';
import type { Clock, Frame, HubEvent, HubTimings, Schedule } from './ports.ts';

/** Writing goes on for at most this long before anything else gets its turn: what a ping may notice. */
const SLICE_MS = 5;

/** Reading the clock costs as much as a small write; once in this many is often enough for the slice. */
const CLOCK_EVERY = 32;

/** So much of it goes to the feed of everything when something is due to single connections too. */
const FEED_SLICE_MS = 2.5;

/** Bytes that wait: `due` to be written, or handed over and `unread` by a peer that is slow. */
export interface UnsentBytes {
  readonly due: number;
  readonly unread: number;
}

export interface SendLoopOptions {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly stats: HubStats;
  /** What is due to all on the feed of everything. */
  readonly feed: FeedFanOut;
  readonly timings: HubTimings | undefined;
}

/** Writes what is due, one write per socket and round, in slices that leave the event loop to others. */
export class SendLoop {
  readonly #options: SendLoopOptions;
  #due: Connection[] = [];
  #isScheduled = false;
  /** Connections whose peers had not read everything when they were last written to. */
  readonly #backlogged = new Set<Connection>();
  readonly #timed = new Set<HubEvent>();
  /** What was last written for many: of it `timings` will hear. */
  #newestShared: SharedFrames | null = null;

  constructor(options: SendLoopOptions) {
    this.#options = options;
  }

  get unsentBytes(): UnsentBytes {
    let [due, unread] = [this.#options.feed.dueBytes, 0];
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
    if (this.#options.timings === undefined) return;
    this.#timed.add(event);
    this.wake();
  }

  /** Call after each frame put into a connection's queue. */
  add(connection: Connection): void {
    // With more than one frame queued it is on the list already.
    if (connection.queue.length > 1) return;
    this.#due.push(connection);
    this.wake();
  }

  /** Call when something is due on the feed. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.schedule(() => {
      this.#run();
    });
  }

  /** Writes what is due to one connection now. */
  flush(connection: Connection): void {
    if (connection.queue.length === 0) return;
    const bytes = connection.queuedBytes;
    this.#write(connection, connection.takeQueue(), bytes);
  }

  /** Writes to one of many what is due to all of them. Nothing else may be due to it. */
  writeShared(connection: Connection, shared: SharedFrames): void {
    this.#write(connection, shared.frames, shared.bytes);
    if (shared === this.#newestShared) return;
    this.#newestShared = shared;
    if (this.#options.timings !== undefined) for (const event of shared.told) this.#timed.add(event);
  }

  /** The connection is gone, and what was due to it with it. */
  forget(connection: Connection): void {
    connection.takeQueue();
    this.#backlogged.delete(connection);
  }

  #write(connection: Connection, frames: readonly Frame[], bytes: number): void {
    const { stats } = this.#options;
    const { port } = connection;
    port.write(frames);
    stats.writes += 1;
    stats.framesWritten += frames.length;
    stats.bytesWritten += bytes;
    if (port.bufferedBytes() > 0) this.#backlogged.add(connection);
    // The extra bytes were for the replay; once that has left, the ordinary limit holds.
    else if (connection.allowanceBytes > 0) connection.allowanceBytes = 0;
  }

  #run(): void {
    const { clock, feed, timings } = this.#options;
    this.#isScheduled = false;
    const startMs = clock.now();
    const isFed = feed.run(startMs + (this.#due.length > 0 ? FEED_SLICE_MS : SLICE_MS));
    const isWritten = this.#writeDue(startMs + SLICE_MS);
    if (!isFed || !isWritten) {
      this.wake();
      return;
    }
    this.#newestShared = null;
    for (const event of this.#timed) timings?.written(event);
    this.#timed.clear();
  }

  /** @returns false if it got too late for all of it */
  #writeDue(untilMs: number): boolean {
    const due = this.#due;
    this.#due = [];
    let done = 0;
    for (const connection of due) {
      this.flush(connection);
      done += 1;
      if (done % CLOCK_EVERY !== 0 || this.#options.clock.now() < untilMs) continue;
      this.#due = [...due.slice(done), ...this.#due];
      return this.#due.length === 0;
    }
    return true;
  }
}
