// If this breaks, two instances publish side by side and mix up one user's events, or none does and nobody hears
// anything until somebody restarts a service.
import { startFaultProxy, waitFor } from '@infrasignal/testkit';
import Fastify from 'fastify';
import pg from 'pg';
import { test } from 'tap';
import { advisoryLocks } from '../../src/db/advisory-locks.ts';
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

test('F10 a leader that lost its lock in the middle of a batch neither publishes nor marks the rest of it', async (t) => {
  const { database, nats, startRelay, stored } = await createRelayFixture(t);
  const proxy = await startFaultProxy(t, nats);
  let logs = '';
  const { log } = Fastify({ logger: { stream: { write: (line: string) => (logs += line) } } });
  const relay = startRelay({ natsUrl: `nats://127.0.0.1:${proxy.port}`, log });
  await commitRow(database, { userId: 1, seq: 1 });
  await waitFor(async () => (await countUnpublished(database)) === 0);

  // The first row of a batch is long on its way to the broker, and meanwhile somebody else becomes the leader.
  let isOnTheWay = false;
  proxy.setRule((chunk) => {
    if (!isOnTheWay && chunk.includes('users.2.user.login')) {
      isOnTheWay = true;
      proxy.setNetwork({ isBlackHole: true }, 'up');
    }
    return 'forward';
  });
  for (let seq = 1; seq <= 3; seq += 1) await commitRow(database, { userId: 2, seq });
  await waitFor(() => isOnTheWay);
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  t.teardown(() => other.end());
  await database.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'infrasignal-relay-lock' and datname = current_database()`);
  await other.query('select pg_advisory_lock($1)', [advisoryLocks.relay]);
  await waitFor(() => !relay.isLeading);
  proxy.setNetwork({}, 'up');
  await waitFor(async () => (await stored()).length === 2, { description: 'what was on its way to arrive' });
  await waitFor(() => logs.includes('leadership lost with events on the way'));
  t.strictSame(placesOf(await stored()), ['1:1', '2:1'], 'and nothing behind it');
  t.equal(await countUnpublished(database), 3, 'nothing is marked by one who does not lead');

  await other.query('select pg_advisory_unlock($1)', [advisoryLocks.relay]);
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.strictSame(placesOf(await stored()), ['1:1', '2:1', '2:2', '2:3'], 'each once, in order');
});
