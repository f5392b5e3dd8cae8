import type { PresenceLease } from '@infrasignal/shared';

/**
 * How long a lease holds that is not renewed: three renewals. A killed node's users are offline this long after its last
 * one; shorter, and a node that is busy for a moment, or a broker that restarts, sends everybody offline.
 */
export const PRESENCE_LEASE_MS = 6_000;

/** What is known of a user's presence from what was announced. */
export interface Announced {
  readonly isOnline: boolean;
  /** Where it stands in the stream. */
  readonly sequence: number;
}

export interface Change {
  readonly userId: number;
  readonly isOnline: boolean;
  /** The stream's position of the user's newest change; 0 without one. */
  readonly after: number;
}

interface HeldLease {
  userIds: ReadonlySet<number>;
  heardAtMs: number;
}

/**
 * Who is connected anywhere, by the leases that hold, beside what was announced of it: the difference is what has to be
 * announced. Pure: time is given to it, and it has no idea of streams.
 */
export class PresenceView {
  readonly #announced: Map<number, Announced>;
  readonly #leases = new Map<string, HeldLease>();
  /** On how many nodes a user is. */
  readonly #nodes = new Map<number, number>();
  #toCheck: Set<number>;

  /** @param announced the newest change of each user, as the stream has it */
  constructor(announced: ReadonlyMap<number, Announced>) {
    this.#announced = new Map(announced);
    this.#toCheck = new Set(this.#announced.keys());
  }

  /** Users that are connected somewhere. */
  get size(): number {
    return this.#nodes.size;
  }

  /** A node said which users of one part are connected to it; it replaces what it said before. */
  hear({ node, part, user_ids: userIds }: PresenceLease, nowMs: number): void {
    const key = `${node} ${part}`;
    const before = this.#leases.get(key)?.userIds ?? new Set<number>();
    const after = new Set(userIds);
    for (const userId of after) if (!before.has(userId)) this.#count(userId, 1);
    for (const userId of before) if (!after.has(userId)) this.#count(userId, -1);
    if (after.size === 0) this.#leases.delete(key);
    else this.#leases.set(key, { userIds: after, heardAtMs: nowMs });
  }

  /** Drops leases that have ended. */
  expire(nowMs: number): void {
    for (const [key, { userIds, heardAtMs }] of this.#leases) {
      if (nowMs - heardAtMs <= PRESENCE_LEASE_MS) continue;
      this.#leases.delete(key);
      for (const userId of userIds) this.#count(userId, -1);
    }
  }

  /** What differs from what was announced, at most so much; the rest comes with the next call. */
  takeChanges(countMax: number): Change[] {
    const changes: Change[] = [];
    for (const userId of this.#toCheck) {
      if (changes.length === countMax) break;
      this.#toCheck.delete(userId);
      const announced = this.#announced.get(userId);
      const isOnline = this.#nodes.has(userId);
      if (isOnline !== (announced?.isOnline ?? false)) {
        changes.push({ userId, isOnline, after: announced?.sequence ?? 0 });
      }
    }
    return changes;
  }

  /** A change is in the stream. The user may have come or gone meanwhile: it is looked at again. */
  announced(userId: number, announced: Announced): void {
    this.#announced.set(userId, announced);
    this.#toCheck.add(userId);
  }

  #count(userId: number, by: 1 | -1): void {
    const count = (this.#nodes.get(userId) ?? 0) + by;
    if (count > 0) this.#nodes.set(userId, count);
    else this.#nodes.delete(userId);
    this.#toCheck.add(userId);
  }
}
