import type { Connection } from './connection.ts';
import type { Clock, Frame, HubEvent, Variant } from './ports.ts';

/** Reading the clock costs as much as a small write; once in this many is often enough. */
const CLOCK_EVERY = 32;

/** What connections of one form are sent of a batch: one array for all of them, so that a port can join it once. */
export interface SharedFrames {
  readonly frames: readonly Frame[];
  readonly bytes: number;
  /** The events that they tell of; of some, clients of this form are not told. */
  readonly told: readonly HubEvent[];
  readonly untold: number;
}

/** What was due on the feed of everything when a round began. */
export class FeedBatch {
  readonly events: readonly HubEvent[];
  /** Of all events on the feed since the start, the number of the first one in here, and of the first one behind. */
  readonly start: number;
  readonly end: number;
  readonly #shared = new Map<Variant, SharedFrames>();

  constructor(events: readonly HubEvent[], start: number) {
    this.events = events;
    this.start = start;
    this.end = start + events.length;
  }

  /**
   * True if the connection is due all of it and nothing before it, as nearly all are: then what it is sent is what
   * everybody of its form is sent.
   */
  isWholeFor({ fedThrough, queue, replayedSeqs, seenThrough, state }: Connection): boolean {
    if (state !== 'live' || fedThrough !== this.start || queue.length > 0) return false;
    const [first] = this.events;
    if (first === undefined || first.position.sequence <= seenThrough) return false;
    if (replayedSeqs === null) return true;
    return this.events.every(({ userId, seq }) => userId !== null && seq > (replayedSeqs.get(userId) ?? 0));
  }

  /** What a connection for which it is whole is sent of it. */
  framesFor(connection: Connection): SharedFrames {
    const { variant } = connection;
    const known = this.#shared.get(variant);
    if (known !== undefined) return known;
    const { stand } = connection;
    const told = this.events.filter((event) => event.frame(variant, stand) !== null);
    const frames = told.map((event) => event.frame(variant, stand)).filter((frame) => frame !== null);
    const bytes = frames.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const shared = { frames, bytes, told, untold: this.events.length - told.length };
    this.#shared.set(variant, shared);
    return shared;
  }
}

export interface FeedFanOutOptions {
  readonly clock: Clock;
  /** The connections on the feed of everything; new ones may come while it is gone through. */
  readonly connections: ReadonlySet<Connection>;
  /** Hands a batch to a connection for which it is whole. */
  readonly deliverWhole: (connection: Connection, batch: FeedBatch) => void;
  /** Hands one event to a connection, which may have it already. */
  readonly deliver: (connection: Connection, event: HubEvent) => void;
}

/**
 * Hands users' events to the feed of everything, where all are due the same: once around for all that has come up to
 * then, each connection written at once. To look at each one when an event comes, and again to write, costs more than
 * the writing: thousands of connections do not fit into a processor's nearest memory.
 *
 * Until the round reaches it, a connection lags behind. Whoever changes what it may be sent, or hands it anything else,
 * calls `catchUp` before.
 */
export class FeedFanOut {
  readonly #options: FeedFanOutOptions;
  /** What not every connection has yet, the first with its number. */
  #due: HubEvent[] = [];
  #start = 0;
  #batch: FeedBatch | null = null;
  #round: Iterator<Connection> | null = null;

  constructor(options: FeedFanOutOptions) {
    this.#options = options;
  }

  /** The number of the next event: what a new connection begins with. */
  get end(): number {
    return this.#start + this.#due.length;
  }

  get isIdle(): boolean {
    return this.#due.length === 0;
  }

  /** Puts an event behind what is due; `run` hands it out. @returns false if nobody is there to be told */
  add(event: HubEvent): boolean {
    if (this.#options.connections.size === 0) return false;
    this.#due.push(event);
    return true;
  }

  /** Bytes that are due and not yet handed to their connections. */
  get dueBytes(): number {
    if (this.isIdle) return 0;
    let bytes = 0;
    for (const { fedThrough, stand, variant } of this.#options.connections) {
      for (const event of this.#due.slice(fedThrough - this.#start)) {
        bytes += event.frame(variant, stand)?.byteLength ?? 0;
      }
    }
    return bytes;
  }

  /** Hands a connection what it does not have yet; harmless for one that is not on the feed. */
  catchUp(connection: Connection): void {
    if (this.isIdle || connection.audience.kind !== 'everything') return;
    while (connection.fedThrough < this.end) {
      const event = this.#due[connection.fedThrough - this.#start];
      connection.fedThrough += 1;
      if (event !== undefined) this.#options.deliver(connection, event);
    }
  }

  /** Hands everybody what they do not have yet, now. */
  catchUpAll(): void {
    if (this.isIdle) return;
    for (const connection of this.#options.connections) this.catchUp(connection);
    this.#start = this.end;
    this.#due = [];
    this.#batch = null;
    this.#round = null;
  }

  /** Goes around until all is handed out, or until it is so late. @returns false if there is more to do */
  run(untilMs: number): boolean {
    for (let count = 1; ; count += 1) {
      const batch = (this.#batch ??= this.#takeBatch());
      if (batch === null) return true;
      this.#round ??= this.#options.connections.values();
      const next = this.#round.next();
      if (next.done === true) {
        this.#endRound(batch);
        continue;
      }
      const connection = next.value;
      if (batch.isWholeFor(connection)) this.#options.deliverWhole(connection, batch);
      else this.catchUp(connection);
      if (count % CLOCK_EVERY === 0 && this.#options.clock.now() >= untilMs) return false;
    }
  }

  #takeBatch(): FeedBatch | null {
    return this.isIdle ? null : new FeedBatch([...this.#due], this.#start);
  }

  #endRound({ events, end }: FeedBatch): void {
    this.#due.splice(0, events.length);
    this.#start = end;
    this.#batch = null;
    this.#round = null;
  }
}
