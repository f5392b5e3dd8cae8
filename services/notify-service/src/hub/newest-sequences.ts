import type { StreamPosition } from '@infrasignal/shared';

/** The newest event of one user that passed through this node. */
export interface NewestSequence {
  readonly seq: number;
  readonly position: StreamPosition;
  /** Messages of the user behind it that are no events. */
  readonly skipped: number;
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
  readonly #byUser = new Map<number, { -readonly [Key in keyof NewestSequence]: NewestSequence[Key] }>();
  readonly #usersMax: number;

  constructor(usersMax: number) {
    this.#usersMax = usersMax;
  }

  get size(): number {
    return this.#byUser.size;
  }

  find(userId: number): NewestSequence | null {
    return this.#byUser.get(userId) ?? null;
  }

  /** Notes an event. False when this one, or a later one of its user, was seen before. */
  advance(userId: number, seq: number, position: StreamPosition): boolean {
    const known = this.#byUser.get(userId);
    if (known !== undefined && seq <= known.seq) return false;
    // A Map keeps the order of insertion: taken out and put back, the user is the last to be forgotten.
    if (known !== undefined) this.#byUser.delete(userId);
    this.#byUser.set(userId, { seq, position, skipped: 0 });
    if (this.#byUser.size > this.#usersMax) {
      for (const oldest of this.#byUser.keys()) {
        this.#byUser.delete(oldest);
        break;
      }
    }
    return true;
  }

  /** Notes a message of a user that is no event. */
  skip(userId: number): void {
    const known = this.#byUser.get(userId);
    if (known !== undefined) known.skipped += 1;
  }
}
