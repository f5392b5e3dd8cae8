import { userOf, type LogEntry } from './log-entry.ts';

export interface RecentEventsOptions {
  /** Messages that are held. */
  readonly eventsMax: number;
  /** Bytes that these messages have in the stream. In memory they take about three times as much. */
  readonly bytesMax: number;
  /** What the broker stored longer ago is not held: the stream has dropped it too, and with it somebody's data. */
  readonly ageMsMax: number;
  /** The time of day, in milliseconds since 1970. */
  readonly now: () => number;
}

/** One message, and the next one of its user. */
interface Held {
  readonly entry: LogEntry;
  nextOfUser: Held | null;
}

interface UserChain {
  oldest: Held;
  newest: Held;
}

/**
 * The newest messages of the log, without a hole: what is at any position from the first to the last one held, it
 * knows for certain, invalid messages included. A ring: the oldest go when the limits are reached.
 *
 * It is filled by the one who follows the log, message by message. Whatever does not continue what is held starts it
 * anew, so that it can never answer for a position that it has not seen.
 */
export class RecentEvents {
  readonly #options: RecentEventsOptions;
  /** A message's place is its position modulo their number. */
  readonly #slots: (Held | undefined)[];
  readonly #byUser = new Map<number, UserChain>();
  #first = 1;
  #last = 0;
  #bytes = 0;
  #generation = 0;

  constructor(options: RecentEventsOptions) {
    this.#options = options;
    this.#slots = new Array<Held | undefined>(options.eventsMax);
  }

  /** Messages that it can hold. */
  get eventsMax(): number {
    return this.#options.eventsMax;
  }

  get size(): number {
    return this.#last - this.#first + 1;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts the logs that were followed: positions of one generation say nothing about another one. */
  get generation(): number {
    return this.#generation;
  }

  /** True if what is at this position is known. */
  covers(sequence: number): boolean {
    this.#expire();
    return sequence >= this.#first && sequence <= this.#last;
  }

  /** What is at a position that is covered. */
  find(sequence: number): LogEntry | null {
    return this.covers(sequence) ? (this.#slotOf(sequence)?.entry ?? null) : null;
  }

  /** The messages of a user that are held at or after a position, in the order of the log. */
  *ofUser(userId: number, fromSequence = 0): Generator<LogEntry> {
    this.#expire();
    let held = this.#byUser.get(userId)?.oldest ?? null;
    for (; held !== null; held = held.nextOfUser) if (held.entry.sequence >= fromSequence) yield held.entry;
  }

  /** The next message of the log. */
  add(entry: LogEntry): void {
    if (entry.sequence !== this.#last + 1) this.#restartAt(entry.sequence);
    while (this.size >= this.#options.eventsMax) this.#dropOldest();
    const held: Held = { entry, nextOfUser: null };
    this.#slots[entry.sequence % this.#slots.length] = held;
    this.#last = entry.sequence;
    this.#bytes += entry.bytes;
    this.#link(userOf(entry), held);
    while (this.#bytes > this.#options.bytesMax && this.size > 0) this.#dropOldest();
  }

  /** The log is another one: nothing that is held is to be found in it where it was. */
  clear(): void {
    this.#generation += 1;
    this.#restartAt(1);
  }

  #restartAt(sequence: number): void {
    if (this.size > 0) this.#slots.fill(undefined);
    this.#byUser.clear();
    this.#bytes = 0;
    this.#first = sequence;
    this.#last = sequence - 1;
  }

  #link(userId: number | null, held: Held): void {
    if (userId === null) return;
    const chain = this.#byUser.get(userId);
    if (chain === undefined) {
      this.#byUser.set(userId, { oldest: held, newest: held });
    } else {
      chain.newest.nextOfUser = held;
      chain.newest = held;
    }
  }

  #expire(): void {
    const oldestMs = this.#options.now() - this.#options.ageMsMax;
    while (this.size > 0 && (this.#slotOf(this.#first)?.entry.storedAtMs ?? 0) < oldestMs) this.#dropOldest();
  }

  #dropOldest(): void {
    const held = this.#slotOf(this.#first);
    this.#slots[this.#first % this.#slots.length] = undefined;
    this.#first += 1;
    if (held === undefined) return;
    this.#bytes -= held.entry.bytes;
    const userId = userOf(held.entry);
    if (userId === null) return;
    // The oldest of all is the oldest of its user.
    const chain = this.#byUser.get(userId);
    if (chain === undefined || held.nextOfUser === null) this.#byUser.delete(userId);
    else chain.oldest = held.nextOfUser;
  }

  #slotOf(sequence: number): Held | undefined {
    return this.#slots[sequence % this.#slots.length];
  }
}
