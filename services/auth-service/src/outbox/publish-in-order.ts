import type { OutboxRow } from './outbox-repository.ts';

export interface PublishFailure {
  readonly row: OutboxRow;
  readonly error: unknown;
}

export interface PublishOutcome {
  readonly stored: OutboxRow[];
  /** The first row that failed of each user; the user's later rows were not tried. */
  readonly failures: PublishFailure[];
}

function groupByUser(rows: readonly OutboxRow[]): OutboxRow[][] {
  const groups = new Map<number, OutboxRow[]>();
  for (const row of rows) {
    const group = groups.get(row.userId);
    if (group === undefined) groups.set(row.userId, [row]);
    else group.push(row);
  }
  return [...groups.values()].map((group) => group.sort((a, b) => a.seq - b.seq));
}

/**
 * Stores rows: users side by side, one user's rows one after the other in `seq` order, each only after the one before
 * was stored. A user whose row fails is left at that row.
 */
export async function publishInOrder(
  rows: readonly OutboxRow[],
  store: (row: OutboxRow) => Promise<void>,
): Promise<PublishOutcome> {
  const stored: OutboxRow[] = [];
  const failures: PublishFailure[] = [];
  const publishUser = async (group: readonly OutboxRow[]): Promise<void> => {
    for (const row of group) {
      try {
        await store(row);
        stored.push(row);
      } catch (error) {
        failures.push({ row, error });
        return;
      }
    }
  };
  await Promise.all(groupByUser(rows).map(publishUser));
  return { stored, failures };
}

/** A user is held back this long after a failure, doubling up to the maximum; other users are not affected. */
const HOLD_MIN_MS = 100;
const HOLD_MAX_MS = 5_000;

/** Users whose rows failed while others' went through, and until when each is left alone. */
export class HeldUsers {
  readonly #holds = new Map<number, { untilMs: number; delayMs: number }>();

  hold(userId: number): void {
    const delayMs = Math.min((this.#holds.get(userId)?.delayMs ?? HOLD_MIN_MS / 2) * 2, HOLD_MAX_MS);
    this.#holds.set(userId, { untilMs: performance.now() + delayMs, delayMs });
  }

  release(userId: number): void {
    this.#holds.delete(userId);
  }

  /** The users that are not due yet. */
  userIds(): number[] {
    const now = performance.now();
    return [...this.#holds].filter(([, hold]) => hold.untilMs > now).map(([userId]) => userId);
  }
}
