// If this breaks, a broker that is restarted loses events, or nobody hears of anything new until ten minutes are through.
import { EVENTS_STREAM } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { test } from 'tap';
import { commitRow, countUnpublished, createRelayFixture, placesOf, type RelayFixture } from './relay-fixture.ts';

/** More than three of the relay's batches. */
const TAIL_ROWS = 1_700;

async function commitMany({ database }: RelayFixture, rows: number, users: number): Promise<void> {
  await database.query(
    `insert into outbox (event_id, user_id, seq, type, payload)
     select gen_random_uuid(), 1 + n % $2::int, 1 + n / $2::int, 'user.login',
       jsonb_build_object('user_id', 1 + n % $2::int, 'phone_number', '0123456789')
     from generate_series(0, $1::int - 1) as n`,
    [rows, users],
  );
}

/** The same server name and port, an empty stream. */
async function loseEverything({ nats }: RelayFixture): Promise<void> {
  const connection = await connect({ servers: nats.url });
  await (await jetstreamManager(connection)).streams.delete(EVENTS_STREAM.name);
  await connection.close();
  await nats.kill();
}

test('F5 a long tail that was lost is stored again whole and in order, with new events in between', async (t) => {
  const fixture = await createRelayFixture(t);
  const { database, nats, startRelay, stored } = fixture;
  startRelay();
  await commitMany(fixture, TAIL_ROWS, 17);
  await waitFor(async () => (await countUnpublished(database)) === 0);
  await loseEverything(fixture);
  for (let userId = 1; userId <= 20; userId += 1) await commitRow(database, { userId, seq: userId > 17 ? 1 : 101 });
  await nats.restart();

  await waitFor(async () => (await stored()).length >= TAIL_ROWS + 20);
  await waitFor(async () => (await countUnpublished(database)) === 0);
  const messages = await stored();
  t.equal(messages.length, TAIL_ROWS + 20, 'everything once');
  for (let userId = 1; userId <= 17; userId += 1) {
    const seqs = messages.filter(({ data }) => data.subject === `users/${userId}`).map(({ data }) => data.seq);
    t.strictSame(seqs, Array.from({ length: 101 }, (_, at) => at + 1), `user ${userId} is in order`);
  }
});

test('F3 what cannot be stored again of one user does not keep new events of others waiting', async (t) => {
  const fixture = await createRelayFixture(t);
  const { database, nats, startRelay, stored } = fixture;
  startRelay();
  await commitMany(fixture, 40, 4);
  await waitFor(async () => (await countUnpublished(database)) === 0);
  // Larger than any message that the broker takes: as if it refused just this one.
  const tooLarge = { user_id: 1, phone_number: 'x'.repeat(2_000_000) };
  await database.query('update outbox set payload = $1 where user_id = 1 and seq = 5', [tooLarge]);
  await loseEverything(fixture);
  for (let userId = 1; userId <= 5; userId += 1) await commitRow(database, { userId, seq: userId > 4 ? 1 : 11 });
  await nats.restart();

  await waitFor(async () => (await countUnpublished(database)) === 1);
  const places = placesOf(await stored());
  for (const userId of [2, 3, 4]) {
    const expected = Array.from({ length: 11 }, (_, at) => `${userId}:${at + 1}`);
    t.strictSame(places.filter((place) => place.startsWith(`${userId}:`)), expected, `user ${userId} is complete`);
  }
  t.ok(places.includes('5:1'), 'a user who is new is not kept waiting');
  t.notOk(places.includes('1:6') || places.includes('1:11'), 'user 1 stands still where it was refused');

  await database.query('update outbox set payload = $1 where user_id = 1 and seq = 5', [{ user_id: 1 }]);
  await waitFor(async () => (await countUnpublished(database)) === 0);
  const first = placesOf(await stored()).filter((place) => place.startsWith('1:'));
  t.strictSame(first, Array.from({ length: 11 }, (_, at) => `1:${at + 1}`), 'and goes on when it is taken');
});

test('F5 what is for everybody is in order, is stored once, and comes again after the broker lost it', async (t) => {
  const fixture = await createRelayFixture(t);
  const { database, nats, startRelay, stored } = fixture;
  const ids: string[] = [];
  for (const seq of [3, 1, 2]) ids[seq - 1] = await commitRow(database, { userId: 0, seq, type: 'app.news' });
  await commitRow(database, { userId: 5, seq: 1 });
  startRelay();
  await waitFor(async () => (await countUnpublished(database)) === 0);
  const broadcasts = async (): ReturnType<typeof stored> =>
    (await stored()).filter(({ subject }) => subject === 'broadcasts.app.news');
  t.strictSame((await broadcasts()).map(({ data }) => data.id), ids);
  t.strictSame(placesOf(await broadcasts()), [':1', ':2', ':3']);
  await loseEverything(fixture);
  await nats.restart();
  await waitFor(async () => (await stored()).length === 4);
  t.strictSame(placesOf(await broadcasts()), [':1', ':2', ':3'], 'with the tail, like everything else');
});
