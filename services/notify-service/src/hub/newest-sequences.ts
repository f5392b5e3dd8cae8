import type { StreamPosition } from '@infrasignal/shared';

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** The newest event of one user that passed through this node. */
export interface NewestSequence {
  readonly seq: number;
  readonly position: StreamPosition;
  /** Messages of the user behind it that are no events. */
  readonly skipped: number;
  /** How often the log had changed by then. */
  readonly log: number;
}

/**
 * The newest `seq` of each user seen lately. It is what makes a second delivery harmless: after the broker lost its
 * disk, the same events come again at other positions, and only a user's own counter tells them from new ones.
 *
 * Bounded: the user heard of longest ago is forgotten first. A forgotten user's repeated event would pass once more
 * to the feed of everything (a user's own socket remembers its `seq` itself), so the bound must exceed the number of
 * users with an event in the ten minutes that the outbox publishes again.
 */
export class NewestSequences {
  readonly #byUser = new Map<number, Writable<NewestSequence>>();
  /**
   * What the broker told. It counts for who asks and for nothing else: while the log is changing it may be of the new
   * one, and what this node has yet to read there must not be taken for a repetition.
   */
  readonly #learned = new Map<number, Writable<NewestSequence>>();
  /** Users of whom the broker held nothing when it was asked: what comes after that passes through this node. */
  readonly #without = new Set<number>();
  readonly #usersMax: number;
  #log = 0;
  #interruptions = 0;

  constructor(usersMax: number) {
    this.#usersMax = usersMax;
  }

  get size(): number {
    return this.#byUser.size;
  }

  /** How often the log has changed. */
  get log(): number {
    return this.#log;
  }

  /** How often it could not be said that every new event passes through this node. */
  get interruptions(): number {
    return this.#interruptions;
  }

  find(userId: number): NewestSequence | null {
    const read = this.#byUser.get(userId);
    const learned = this.#learned.get(userId);
    return (learned !== undefined && learned.seq > (read?.seq ?? 0) ? learned : read) ?? null;
  }

  /** Notes an event. False when this one, or a later one of its user, was seen before. */
  advance(userId: number, seq: number, position: StreamPosition): boolean {
    this.#without.delete(userId);
    const known = this.#byUser.get(userId);
    if (known !== undefined && seq <= known.seq) return false;
    // A Map keeps the order of insertion: taken out and put back, the user is the last to be forgotten.
    if (known !== undefined) this.#byUser.delete(userId);
    this.#byUser.set(userId, { seq, position, skipped: 0, log: this.#log });
    forgetOldest(this.#byUser, this.#usersMax);
    return true;
  }

  /**
   * Notes what the broker told of a user of whom nothing is known. Of others this node knows all that it has behind it:
   * what is newer there is of a log that it does not know yet, and does not go with what it remembers of its own.
   */
  learn(userId: number, seq: number, position: StreamPosition): void {
    if (this.find(userId) !== null) return;
    this.#without.delete(userId);
    this.#learned.set(userId, { seq, position, skipped: 0, log: this.#log });
    forgetOldest(this.#learned, this.#usersMax);
  }

  /** Notes that the broker holds nothing of a user. @param interruptions as they were when it was asked */
  learnWithout(userId: number, interruptions: number): void {
    if (interruptions !== this.#interruptions || this.find(userId) !== null) return;
    this.#without.add(userId);
    forgetOldest(this.#without, this.#usersMax);
  }

  /** True if nothing of a user was held, and nothing has come since. */
  isWithout(userId: number): boolean {
    return this.#without.has(userId);
  }

  /** Events are gone that were not read: of anybody there may have been one. */
  lose(): void {
    this.#interruptions += 1;
    this.#without.clear();
  }

  /** The log is another one: what was learned may be of either. */
  logChanged(): void {
    this.#log += 1;
    this.#learned.clear();
    this.lose();
  }

  /** True while nothing newer of a user was read than what a log before this one held. */
  isOfOlderLog(userId: number): boolean {
    return (this.#byUser.get(userId)?.log ?? this.#log) < this.#log;
  }

  /** Notes a message of a user that is no event. */
  skip(userId: number): void {
    this.#without.delete(userId);
    for (const known of [this.#byUser.get(userId), this.#learned.get(userId)]) if (known !== undefined) known.skipped += 1;
  }
}

function forgetOldest(users: Map<number, unknown> | Set<number>, usersMax: number): void {
  if (users.size <= usersMax) return;
  for (const oldest of users.keys()) {
    users.delete(oldest);
    return;
  }
}
