// If this breaks, a crash at the wrong moment shows a user the same login twice, or an outage loses one.
import { EVENTS_STREAM, eventSubject } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { test } from 'tap';
import { toEnvelope } from '../../src/outbox/event-publisher.ts';
import { commitRow, countUnpublished, createRelayFixture, placesOf } from './relay-fixture.ts';

test('F1 a row published but not yet marked is not stored a second time by the next leader', async (t) => {
  const { database, startRelay, stored } = await createRelayFixture(t);
  for (let seq = 1; seq <= 10; seq += 1) await commitRow(database, { userId: 7, seq });
  // Marking waits for this lock, publishing does not: exactly the moment between the two.
  const blocker = new pg.Client({ connectionString: database.url });
  blocker.on('error', () => undefined);
  await blocker.connect();
  t.teardown(() => blocker.end());
  await blocker.query('begin');
  await blocker.query('lock table outbox in share mode');
  startRelay();
  await waitFor(async () => (await stored()).length === 10);
  t.equal(await countUnpublished(database), 10, 'stored, and not one row marked');

  // The leader dies: its backends are gone, marking included. The next one finds ten rows that look unpublished.
  await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid not in (pg_backend_pid(), $1)`,
    [(await blocker.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid],
  );
  await blocker.query('commit');
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.equal((await stored()).length, 10, 'nothing twice');
});

test('F4 a row in doubt that outlived the duplicate window is looked up, not stored again', async (t) => {
  const { database, nats, startRelay, stored } = await createRelayFixture(t);
  const eventId = await commitRow(database, { userId: 9, seq: 1, ageSeconds: 700 });
  await commitRow(database, { userId: 9, seq: 2, ageSeconds: 650 });
  // What an earlier leader stored before it died unheard. Another message id stands for the window that forgot it.
  const connection = await connect({ servers: nats.url });
  t.teardown(() => connection.close());
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], num_replicas: 1 });
  const envelope = toEnvelope({
    id: 1,
    eventId,
    userId: 9,
    seq: 1,
    type: 'user.login',
    dataVersion: 1,
    traceparent: null,
    payload: { user_id: 9, phone_number: '0123456789' },
    createdAt: new Date(),
    ageSeconds: 700,
    readAtMs: performance.now(),
  });
  await jetstream(connection).publish(eventSubject(9, 'user.login'), JSON.stringify(envelope), { msgID: 'forgotten' });

  startRelay();
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.strictSame(placesOf(await stored()), ['9:1', '9:2'], 'seq 1 once, seq 2 added');
});

test('F3 events committed while the broker is away are stored when it is back', async (t) => {
  const { database, nats, startRelay, stored } = await createRelayFixture(t);
  startRelay();
  await commitRow(database, { userId: 1, seq: 1 });
  await waitFor(async () => (await countUnpublished(database)) === 0);
  await nats.kill();
  for (let seq = 2; seq <= 50; seq += 1) await commitRow(database, { userId: 1, seq });
  await nats.restart();
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.strictSame(
    placesOf(await stored()),
    Array.from({ length: 50 }, (_, at) => `1:${at + 1}`),
  );
});

test('F5 when the broker lost its newest messages they are stored again, each before anything newer of its user', async (t) => {
  const { database, nats, startRelay, stored } = await createRelayFixture(t);
  startRelay();
  for (let seq = 1; seq <= 20; seq += 1) await commitRow(database, { userId: 1 + (seq % 2), seq });
  await waitFor(async () => (await countUnpublished(database)) === 0);
  const before = (await stored()).map(({ data }) => data.id);

  // A broker that lost everything it held: the same server name and port, an empty stream.
  const connection = await connect({ servers: nats.url });
  await (await jetstreamManager(connection)).streams.delete(EVENTS_STREAM.name);
  await connection.close();
  await nats.kill();
  for (let seq = 21; seq <= 30; seq += 1) await commitRow(database, { userId: 1 + (seq % 2), seq });
  await nats.restart();

  await waitFor(async () => (await stored()).length === 30);
  const after = await stored();
  const ids = new Set(after.map(({ data }) => data.id));
  t.ok(before.every((id) => ids.has(id)), 'the lost ones are back');
  t.equal(ids.size, 30, 'each once');
  for (const userId of [1, 2]) {
    const seqs = after.filter(({ data }) => data.subject === `users/${userId}`).map(({ data }) => data.seq);
    t.strictSame(seqs, [...seqs].sort((a, b) => a - b), `user ${userId} is in order`);
  }
});
