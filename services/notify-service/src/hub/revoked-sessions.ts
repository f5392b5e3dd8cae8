import type { Clock } from './ports.ts';

/**
 * Sessions that ended before their tokens did, each remembered until no token of it can be alive. In the order in
 * which they were told, so that forgetting looks at the oldest only.
 */
export class RevokedSessions {
  readonly #clock: Clock;
  readonly #lifeMs: number;
  /** Session to the moment from which it may be forgotten. */
  readonly #sessions = new Map<string, number>();

  /** @param lifeMs the longest life of an access token, and what clocks may differ by */
  constructor(clock: Clock, lifeMs: number) {
    this.#clock = clock;
    this.#lifeMs = lifeMs;
  }

  get size(): number {
    return this.#sessions.size;
  }

  add(sessionId: string): void {
    const now = this.#clock.now();
    this.#sessions.delete(sessionId);
    this.#sessions.set(sessionId, now + this.#lifeMs);
    for (const [oldest, forgetAt] of this.#sessions) {
      if (forgetAt > now) break;
      this.#sessions.delete(oldest);
    }
  }

  has(sessionId: string): boolean {
    const forgetAt = this.#sessions.get(sessionId);
    return forgetAt !== undefined && forgetAt > this.#clock.now();
  }
}
