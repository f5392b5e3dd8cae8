import type { Connection } from './connection.ts';
import type { Clock, HubEvent, Schedule } from './ports.ts';

/** Delivering goes on for at most this long before anything else gets its turn: what a ping may notice. */
const SLICE_MS = 5;

/** Reading the clock costs as much as a delivery; once in this many is often enough for the slice. */
const CLOCK_EVERY = 32;

export interface BroadcastFanOutOptions {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** Every connection there is; new ones may come while it is gone through. */
  readonly connections: ReadonlySet<Connection>;
  /** Hands an event to a connection, whose `lastBroadcastSeq` is then at least the event's. */
  readonly deliver: (connection: Connection, event: HubEvent) => void;
}

/**
 * Hands what is for everybody to everybody, in slices that leave the event loop to others. Whoever hands a connection
 * anything else in the meantime calls `catchUp` before: a cursor names one place in the order of the log, so no
 * connection may be sent what is behind a broadcast before the broadcast.
 */
export class BroadcastFanOut {
  readonly #options: BroadcastFanOutOptions;
  /** What not every connection has yet. */
  #due: HubEvent[] = [];
  #round: Iterator<Connection> | null = null;
  /** How much of what is due all have when the round is through. */
  #dueInRound = 0;

  constructor(options: BroadcastFanOutOptions) {
    this.#options = options;
  }

  /** True when everybody has everything. */
  get isIdle(): boolean {
    return this.#due.length === 0;
  }

  add(event: HubEvent): void {
    this.#due.push(event);
    if (this.#round === null) this.#startRound();
  }

  /** Hands a connection what it does not have yet. */
  catchUp(connection: Connection): void {
    for (const event of this.#due) {
      if (event.seq > connection.lastBroadcastSeq) this.#options.deliver(connection, event);
    }
  }

  #startRound(): void {
    this.#dueInRound = this.#due.length;
    this.#round = this.#options.connections.values();
    this.#run(this.#round);
  }

  #run(round: Iterator<Connection>): void {
    const { clock, schedule } = this.#options;
    const startMs = clock.now();
    for (let count = 1; ; count += 1) {
      const next = round.next();
      if (next.done === true) break;
      this.catchUp(next.value);
      if (count % CLOCK_EVERY !== 0 || clock.now() - startMs < SLICE_MS) continue;
      schedule(() => {
        this.#run(round);
      });
      return;
    }
    this.#due.splice(0, this.#dueInRound);
    this.#round = null;
    if (this.#due.length > 0) this.#startRound();
  }
}
