// If this breaks, nobody can sign up or log in while the broker is being restarted, or what they did meanwhile is never
// announced.
import type { EventEnvelope } from '@infrasignal/shared';
import { readStream, startTestNats, waitFor, type TestDatabase } from '@infrasignal/testkit';
import t from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createAuthDatabase, GOOD_PASSWORD, startAuth, testEnvironment } from '../auth-fixture.ts';
import { createAccount, logIn } from '../requests.ts';

async function countWaiting(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'select count(*)::int as count from outbox where published_at is null',
  );
  return row!.count;
}

async function readSequences(url: string): Promise<[number, number][]> {
  const messages = await readStream<EventEnvelope>({ url, stream: 'EVENTS' });
  return messages.map(({ subject, data }) => [Number(subject.split('.')[1]), data.seq]);
}

t.test('with the broker away accounts go on as ever, and their events follow when it is back', async (t) => {
  const { app, database, nats } = await startAuth(t);
  const one = await createAccount(app);
  await waitFor(async () => (await countWaiting(database)) === 0);

  await nats.kill();
  t.equal((await logIn(app, { phone_number: one.phone_number, password: GOOD_PASSWORD })).statusCode, 200);
  const two = await createAccount(app);
  t.equal((await logIn(app, { phone_number: two.phone_number, password: GOOD_PASSWORD })).statusCode, 200);
  t.equal((await app.inject('/readyz')).statusCode, 200, 'ready: the outbox keeps the promise');
  t.equal((await app.inject('/healthz')).statusCode, 200);
  t.equal(await countWaiting(database), 3);

  await nats.restart();
  await waitFor(async () => (await countWaiting(database)) === 0, { description: 'the outbox to drain' });
  const events = await readSequences(nats.url);
  t.same(events.filter(([userId]) => userId === one.user_id), [[one.user_id, 1], [one.user_id, 2]]);
  t.same(events.filter(([userId]) => userId === two.user_id), [[two.user_id, 1], [two.user_id, 2]]);
  t.equal(events.length, 4, 'and nothing twice');
});

t.test('a service that starts before its broker is ready, and catches up', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  await nats.stop();
  const app = await buildApp(loadConfig(testEnvironment({ databaseUrl: database.url, natsUrl: nats.url })));
  t.teardown(() => app.close());
  await app.ready();
  t.equal((await app.inject('/readyz')).statusCode, 200);
  const { user_id: userId } = await createAccount(app);
  t.equal(await countWaiting(database), 1);
  await nats.restart();
  await waitFor(async () => (await countWaiting(database)) === 0, { description: 'the outbox to drain' });
  t.same(await readSequences(nats.url), [[userId, 1]]);
});

t.test('closing does not wait for a broker that is away', async (t) => {
  const { app, nats } = await startAuth(t);
  await createAccount(app);
  await nats.kill();
  await createAccount(app);
  await app.close(); // or else this test's time limit
});
