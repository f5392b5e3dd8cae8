import { PRESENCE_PARTS } from '@infrasignal/shared';

/** Leases are renewed this often: a third of their life, so that two may be lost. */
const RENEWAL_MS = 2_000;

/**
 * A user whose last connection closed counts as here for this long. Shorter, and a reload of a page or a change of
 * networks tells everybody that somebody went and came; longer, and whoever left is shown for that much longer.
 */
const GRACE_MS = 5_000;

/** One part of the users that are here, to be told. */
export interface DueLease {
  readonly part: number;
  readonly userIds: readonly number[];
}

interface Part {
  readonly userIds: Set<number>;
  hasChanged: boolean;
  toldAtMs: number;
}

/** The users that are connected to this node, and when which part of them has to be told. Pure: time is given to it. */
export class PresentUsers {
  readonly #connections = new Map<number, number>();
  /** When a user who left is gone, in the order of leaving. */
  readonly #leaving = new Map<number, number>();
  readonly #parts: readonly Part[] = Array.from({ length: PRESENCE_PARTS }, () => ({
    userIds: new Set(),
    hasChanged: false,
    toldAtMs: -Infinity,
  }));

  /** Users that are told of, those in their time of grace included. */
  get size(): number {
    return this.#connections.size + this.#leaving.size;
  }

  /** A connection of the user was opened. */
  entered(userId: number): void {
    this.#connections.set(userId, (this.#connections.get(userId) ?? 0) + 1);
    this.#leaving.delete(userId);
    const part = this.#partOf(userId);
    if (part.userIds.has(userId)) return;
    part.userIds.add(userId);
    part.hasChanged = true;
  }

  /** A connection that was entered is gone. */
  left(userId: number, nowMs: number): void {
    const count = (this.#connections.get(userId) ?? 0) - 1;
    if (count > 0) {
      this.#connections.set(userId, count);
      return;
    }
    this.#connections.delete(userId);
    this.#leaving.set(userId, nowMs + GRACE_MS);
  }

  /** What has to be told now: what changed, and what has to be renewed. */
  takeDue(nowMs: number): DueLease[] {
    this.#endGrace(nowMs);
    const due: DueLease[] = [];
    for (const [part, state] of this.#parts.entries()) {
      const isToRenew = state.userIds.size > 0 && nowMs - state.toldAtMs >= RENEWAL_MS;
      if (!state.hasChanged && !isToRenew) continue;
      state.hasChanged = false;
      state.toldAtMs = nowMs;
      due.push({ part, userIds: [...state.userIds] });
    }
    return due;
  }

  #endGrace(nowMs: number): void {
    for (const [userId, goneAtMs] of this.#leaving) {
      if (goneAtMs > nowMs) return;
      this.#leaving.delete(userId);
      const part = this.#partOf(userId);
      part.userIds.delete(userId);
      part.hasChanged = true;
    }
  }

  #partOf(userId: number): Part {
    const part = this.#parts[userId % PRESENCE_PARTS];
    if (part === undefined) throw new RangeError('a user id is a positive integer');
    return part;
  }
}
