// If this breaks, two instances publish side by side and mix up one user's events, or none does and nobody hears
// anything until somebody restarts a service.
import { waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { commitRow, countUnpublished, createRelayFixture, placesOf } from './relay-fixture.ts';

test('F10 one of several instances leads, and another takes over when its lock is gone', async (t) => {
  const { database, startRelay, stored } = await createRelayFixture(t);
  const relays = [startRelay(), startRelay(), startRelay()];
  const leaders = (): typeof relays => relays.filter((relay) => relay.isLeading);
  await waitFor(() => leaders().length === 1);
  const first = leaders()[0];

  await commitRow(database, { userId: 1, seq: 1 });
  await waitFor(async () => (await countUnpublished(database)) === 0);

  await database.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())`);
  await commitRow(database, { userId: 1, seq: 2 });
  await waitFor(async () => (await countUnpublished(database)) === 0);
  await waitFor(() => leaders().length === 1);
  t.strictSame(placesOf(await stored()), ['1:1', '1:2']);

  // A leader that stops in order gives its lock back; the others need not wait for anything to time out.
  const second = leaders()[0];
  await second?.stop();
  await waitFor(() => leaders().length === 1 && leaders()[0] !== second);
  await commitRow(database, { userId: 1, seq: 3 });
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.strictSame(placesOf(await stored()), ['1:1', '1:2', '1:3']);
  t.ok(first, 'there was a first leader');
});
