import type pg from 'pg';
import { findUnpublished, markPublished, type OutboxRow } from './outbox-repository.ts';
import type { PublishOutcome } from './publish-in-order.ts';

export interface BatchPipelineOptions {
  readonly pool: pg.Pool;
  /** Rows in a batch at most. */
  readonly batchRows: number;
  /** Users whose rows are not read for now. */
  readonly heldUserIds: () => readonly number[];
  /** @throws when this instance is not sure to lead */
  readonly assertLeading: () => void;
}

export interface BatchOutcome extends PublishOutcome {
  /** True if there was more than one batch holds: the next may be asked for at once. */
  readonly isFull: boolean;
}

/**
 * Batches of due rows for one epoch, overlapped so that the broker has work while the database is asked: while one
 * batch is on its way, the one before it is marked and the one after it is read. Only one is ever on its way, so the
 * order within a user is that of the batches, and what is on its way or being marked is not read again.
 */
export class BatchPipeline {
  readonly #options: BatchPipelineOptions;
  #publishing: Promise<PublishOutcome> | null = null;
  #marking: Promise<void> = Promise.resolve();
  /** Stored, and by the database perhaps still due. */
  #unmarkedIds: readonly number[] = [];
  /** Read while the batch before was on its way. */
  #readAhead: readonly OutboxRow[] | null = null;

  constructor(options: BatchPipelineOptions) {
    this.#options = options;
  }

  /**
   * Publishes the next batch. What of it is stored is being marked when this resolves.
   * @returns null if nothing is due
   * @throws what kept the batch before from being marked, or this one from being read
   */
  async publishNext(publish: (rows: readonly OutboxRow[]) => Promise<PublishOutcome>): Promise<BatchOutcome | null> {
    const { assertLeading, batchRows } = this.#options;
    const rows = this.#readAhead ?? (await this.#read([]));
    this.#readAhead = null;
    if (rows.length === 0) {
      await this.#marking;
      return null;
    }
    const isFull = rows.length === batchRows;
    this.#publishing = publish(rows);
    this.#publishing.catch(() => undefined); // it is awaited below, or when the epoch is over
    await this.#marking;
    if (isFull) this.#readAhead = await this.#read(rows);
    const outcome = await this.#publishing;
    // What failed comes before what was read ahead of the same user.
    if (outcome.failures.length > 0) this.#readAhead = null;
    // What was acknowledged before a freeze may have been lost by the broker since, and published again or not.
    assertLeading();
    this.#mark(outcome.stored);
    return { ...outcome, isFull };
  }

  /**
   * Resolves when nothing of this epoch is under way any more; its connection has to be closed. A mark that came later
   * than the next epoch's look at the tail would vouch for what the broker may have lost in between.
   */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#publishing, this.#marking]);
  }

  #mark(rows: readonly OutboxRow[]): void {
    this.#unmarkedIds = rows.map(({ id }) => id);
    this.#marking = markPublished(this.#options.pool, this.#unmarkedIds).then(() => {
      this.#unmarkedIds = [];
    });
    this.#marking.catch(() => undefined); // it is awaited with the next batch
  }

  #read(onTheirWay: readonly OutboxRow[]): Promise<OutboxRow[]> {
    const { pool, batchRows, heldUserIds } = this.#options;
    const inHandIds = [...this.#unmarkedIds, ...onTheirWay.map(({ id }) => id)];
    return findUnpublished(pool, batchRows, { heldUserIds: heldUserIds(), inHandIds });
  }
}
