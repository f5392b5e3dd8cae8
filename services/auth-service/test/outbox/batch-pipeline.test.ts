/**
 * The relay asks the database while the broker works. If what is on its way were read again, each event of a backlog
 * would cost the broker twice; if what was read ahead overtook what failed, a user would see a newer event before an
 * older one, and sockets would close on the hole; if a mark outlived its epoch, a broker that lost the event would not
 * be sent it again.
 */
import { waitFor, type TestDatabase } from '@infrasignal/testkit';
import pg from 'pg';
import t from 'tap';
import { BatchPipeline } from '../../src/outbox/batch-pipeline.ts';
import type { OutboxRow } from '../../src/outbox/outbox-repository.ts';
import type { PublishOutcome } from '../../src/outbox/publish-in-order.ts';
import { createAuthDatabase, type TestContext } from '../auth-fixture.ts';
import { commitRow, countUnpublished } from './relay-fixture.ts';

const BATCH_ROWS = 3;

interface Scene {
  readonly database: TestDatabase;
  readonly pool: pg.Pool;
  readonly held: number[];
  readonly batches: BatchPipeline;
}

async function set(t: TestContext, isLeading = (): boolean => true): Promise<Scene> {
  const database = await createAuthDatabase(t);
  const pool = new pg.Pool({ connectionString: database.url, max: 3 });
  t.teardown(() => pool.end());
  const held: number[] = [];
  const batches = new BatchPipeline({
    pool,
    batchRows: BATCH_ROWS,
    heldUserIds: () => held,
    assertLeading: () => {
      if (!isLeading()) throw new Error('not leading');
    },
  });
  return { database, pool, held, batches };
}

const all = (rows: readonly OutboxRow[]): Promise<PublishOutcome> =>
  Promise.resolve({ stored: [...rows], failures: [] });

const placesOf = (rows: readonly OutboxRow[]): string[] => rows.map(({ userId, seq }) => `${userId}:${seq}`);

t.test('every row is published once, and all are marked', async (t) => {
  const { database, batches } = await set(t);
  for (let userId = 1; userId <= 2 * BATCH_ROWS + 1; userId += 1) await commitRow(database, { userId, seq: 1 });
  const published: string[] = [];
  const publish = (rows: readonly OutboxRow[]): Promise<PublishOutcome> => {
    published.push(...placesOf(rows));
    return all(rows);
  };
  const fullness: boolean[] = [];
  for (let outcome = await batches.publishNext(publish); outcome !== null; outcome = await batches.publishNext(publish)) {
    fullness.push(outcome.isFull);
  }
  t.strictSame(published, ['1:1', '2:1', '3:1', '4:1', '5:1', '6:1', '7:1']);
  t.strictSame(fullness, [true, true, false]);
  t.equal(await countUnpublished(database), 0);
});

t.test('while a batch is on its way, the one before it is marked', async (t) => {
  const { database, batches } = await set(t);
  for (let userId = 1; userId <= 2 * BATCH_ROWS; userId += 1) await commitRow(database, { userId, seq: 1 });
  await batches.publishNext(all);
  await batches.publishNext(async (rows) => {
    await waitFor(async () => (await countUnpublished(database)) === BATCH_ROWS, { description: 'the first to be marked' });
    return all(rows);
  });
  t.equal(await batches.publishNext(all), null);
  t.equal(await countUnpublished(database), 0);
});

t.test('what was read ahead does not overtake what failed', async (t) => {
  const { database, batches, held } = await set(t);
  await commitRow(database, { userId: 1, seq: 1 });
  for (const userId of [2, 3, 4]) await commitRow(database, { userId, seq: 1 });
  await commitRow(database, { userId: 1, seq: 2 });
  const failing = (rows: readonly OutboxRow[]): Promise<PublishOutcome> => {
    const [first, ...others] = rows;
    if (first === undefined) throw new RangeError('a batch has rows');
    return Promise.resolve({ stored: others, failures: [{ row: first, error: new Error('not stored') }] });
  };
  await batches.publishNext(failing);
  held.push(1);
  const next: string[] = [];
  const publish = (rows: readonly OutboxRow[]): Promise<PublishOutcome> => (next.push(...placesOf(rows)), all(rows));
  await batches.publishNext(publish);
  t.strictSame(next, ['4:1'], 'the others go on');
  held.length = 0;
  await batches.publishNext(publish);
  t.strictSame(next, ['4:1', '1:1', '1:2']);
});

t.test('an epoch is over when its last mark is', async (t) => {
  const { database, batches, pool } = await set(t);
  await commitRow(database, { userId: 1, seq: 1 });
  const locker = await pool.connect();
  t.teardown(() => {
    locker.release(true);
  });
  await locker.query('begin');
  await locker.query('select 1 from outbox for update');
  await batches.publishNext(all);
  let isSettled = false;
  const settled = batches.settle().then(() => {
    isSettled = true;
  });
  await pool.query('select 1');
  t.notOk(isSettled, 'the mark waits for the row');
  await locker.query('rollback');
  await settled;
  t.equal(await countUnpublished(database), 0);
});

t.test('who leads no more marks nothing', async (t) => {
  let isLeading = true;
  const { database, batches } = await set(t, () => isLeading);
  await commitRow(database, { userId: 1, seq: 1 });
  const publish = (rows: readonly OutboxRow[]): Promise<PublishOutcome> => {
    isLeading = false;
    return all(rows);
  };
  await t.rejects(batches.publishNext(publish), { message: 'not leading' });
  await batches.settle();
  t.equal(await countUnpublished(database), 1);
});
