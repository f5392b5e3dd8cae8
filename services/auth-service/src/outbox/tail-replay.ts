import type pg from 'pg';
import { findPublishedTail, findPublishedTailOf, type OutboxRow } from './outbox-repository.ts';
import { publishInOrder, type PublishOutcome } from './publish-in-order.ts';

export interface TailReplayOptions {
  readonly pool: pg.Pool;
  readonly store: (row: OutboxRow) => Promise<void>;
  /** How far back the broker may have lost what it had acknowledged, in seconds. */
  readonly tailSeconds: number;
  /** Rows per step. */
  readonly batchRows: number;
}

/**
 * Publishes again what a restarted broker may have lost: everything that was published within the tail. It is done in
 * steps, so that new events need not wait for all of it: only for the tail of their own user, because only one user's
 * events have an order. A broker that is restarted again and again before the whole tail is through would otherwise
 * never get to a new event.
 */
export class TailReplay {
  readonly #options: TailReplayOptions;
  /** Users whose tail is all stored: their newer rows may follow, and the steps pass them over. */
  readonly #doneUserIds = new Set<number>();
  #afterId = 0;
  #count = 0;
  #isDone = false;

  constructor(options: TailReplayOptions) {
    this.#options = options;
  }

  /** True when everything in the tail is stored. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Rows published again so far. */
  get count(): number {
    return this.#count;
  }

  /** Publishes new rows, each user's behind that user's tail. The outcome speaks of the new rows only. */
  async publishBehindTail(rows: readonly OutboxRow[]): Promise<PublishOutcome> {
    const { pool, store, tailSeconds } = this.#options;
    const userIds = [...new Set(rows.map(({ userId }) => userId))].filter((userId) => !this.#doneUserIds.has(userId));
    const tail = userIds.length === 0 ? [] : await findPublishedTailOf(pool, tailSeconds, userIds);
    const { stored, failures } = await publishInOrder([...tail, ...rows], store);
    const failedUserIds = new Set(failures.map(({ row }) => row.userId));
    for (const userId of userIds) if (!failedUserIds.has(userId)) this.#doneUserIds.add(userId);
    this.#count += tail.length;
    const newIds = new Set(rows.map(({ id }) => id));
    return { stored: stored.filter(({ id }) => newIds.has(id)), failures };
  }

  /** Publishes the next part of the tail. @throws what kept a row from being stored; the tail then starts over */
  async publishNext(): Promise<void> {
    const { pool, store, tailSeconds, batchRows } = this.#options;
    const rows = await findPublishedTail(pool, tailSeconds, this.#afterId, batchRows);
    const due = rows.filter(({ userId }) => !this.#doneUserIds.has(userId));
    const { failures } = await publishInOrder(due, store);
    const [failure] = failures;
    if (failure !== undefined) throw failure.error;
    this.#count += due.length;
    this.#afterId = rows.at(-1)?.id ?? this.#afterId;
    this.#isDone = rows.length < batchRows;
  }
}
