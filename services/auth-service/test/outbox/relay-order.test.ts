// If this breaks, a client sees a logout before the login it ended, or waits for an event that is never sent:
// resume counts on one user's events being in the stream in `seq` order, each once.
import { waitFor } from '@infrasignal/testkit';
import pg from 'pg';
import { test } from 'tap';
import { commitRow, countUnpublished, createRelayFixture, placesOf } from './relay-fixture.ts';

const USERS = 40;
const EVENTS_PER_USER = 25;

test('F12 the relay stores rows that commit late and out of id order, each user in order and once', async (t) => {
  const { database, startRelay, stored } = await createRelayFixture(t);
  startRelay();
  // Ids are taken at the insert, rows are seen at the commit: writers of different users commit in any order.
  const pool = new pg.Pool({ connectionString: database.url, max: 16 });
  t.teardown(() => pool.end());
  await pool.query('begin; select 1; commit');
  const idle = new pg.Client({ connectionString: database.url });
  await idle.connect();
  t.teardown(() => idle.end());
  await idle.query('begin');
  await idle.query('create temporary table unrelated (id int)');

  const writeUser = async (userId: number): Promise<void> => {
    for (let seq = 1; seq <= EVENTS_PER_USER; seq += 1) {
      const client = await pool.connect();
      await client.query('begin');
      await client.query(
        `insert into outbox (event_id, user_id, seq, type, payload)
         values (gen_random_uuid(), $1, $2, 'user.login', '{"user_id":1,"phone_number":"0"}')`,
        [userId, seq],
      );
      await client.query('select pg_sleep(random() * 0.02)');
      await client.query('commit');
      client.release();
    }
  };
  await Promise.all(Array.from({ length: USERS }, (_, at) => writeUser(at + 1)));

  await waitFor(async () => (await countUnpublished(database)) === 0);
  const messages = await stored();
  t.equal(messages.length, USERS * EVENTS_PER_USER, 'none skipped, none twice');
  for (let userId = 1; userId <= USERS; userId += 1) {
    const seqs = messages.filter(({ data }) => data.subject === `users/${userId}`).map(({ data }) => data.seq);
    t.strictSame(seqs, Array.from({ length: EVENTS_PER_USER }, (_, at) => at + 1), `user ${userId} is in order`);
  }
  await idle.query('commit');
});

test('F12 one user whose event cannot be stored holds back nobody else, and is complete when it can', async (t) => {
  const { database, startRelay, stored } = await createRelayFixture(t);
  const tooLarge = { user_id: 1, phone_number: 'x'.repeat(2_000_000) };
  const eventId = await commitRow(database, { userId: 1, seq: 1, payload: tooLarge });
  await commitRow(database, { userId: 1, seq: 2 });
  for (let seq = 1; seq <= 5; seq += 1) await commitRow(database, { userId: 2, seq });
  startRelay();
  await waitFor(async () => (await stored()).length === 5);
  t.strictSame(placesOf(await stored()), ['2:1', '2:2', '2:3', '2:4', '2:5'], 'user 2 does not wait');

  await database.query('update outbox set payload = $1 where event_id = $2', [{ user_id: 1 }, eventId]);
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.strictSame(placesOf(await stored()).slice(5), ['1:1', '1:2'], 'user 1 follows, in order');
});
