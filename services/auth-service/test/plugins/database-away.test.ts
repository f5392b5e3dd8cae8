// If this breaks, an outage of the database crashes the service or hangs its clients, and it stays broken when the
// database is back.
import type { EventEnvelope } from '@infrasignal/shared';
import { readStream, startTestNats, startTestPostgres, waitFor } from '@infrasignal/testkit';
import { setInterval } from 'node:timers';
import pg from 'pg';
import t from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { GOOD_PASSWORD, testEnvironment } from '../auth-fixture.ts';
import { createAccount, logIn, nextNumber, problemOf, register, type Answer } from '../requests.ts';

async function start(t: { teardown(handler: () => unknown): unknown }, environment: Record<string, string> = {}) {
  const [postgres, nats] = await Promise.all([startTestPostgres(t), startTestNats(t)]);
  await migrateDatabase(postgres.url());
  const base = testEnvironment({ databaseUrl: postgres.url(), natsUrl: nats.url });
  const app = await buildApp(loadConfig({ ...base, ...environment }));
  t.teardown(() => app.close());
  await app.ready();
  return { app, postgres, nats };
}

/** How many statements wait for a lock. */
async function countHeld(admin: pg.Client): Promise<number> {
  return (await admin.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'")).rowCount ?? NaN;
}

const LONGER_THAN_THE_TEST_MS = 2 ** 31 - 1;

type Assertions = Pick<typeof t, 'equal' | 'match' | 'notMatch'>;

function checkUnavailable(t: Assertions, answer: Answer, what: string): void {
  t.equal(answer.statusCode, 503, what);
  t.match(answer.headers['content-type'], /^application\/problem\+json/);
  t.match(answer.headers['retry-after'], /^[1-9]\d*$/, 'whole seconds');
  t.equal(answer.headers['cache-control'], 'no-store');
  t.match(problemOf(answer), { code: 'service_unavailable', status: 503, request_id: /.+/ });
  t.notMatch(answer.body, /postgres|ECONN|connection|select|127\.0\.0\.1/i);
}

t.test('with the database away: 503 with Retry-After, alive, not ready, and well again by itself', async (t) => {
  const { app, postgres, nats } = await start(t);
  const { phone_number: phoneNumber, user_id: userId } = await createAccount(app);
  const login = (): Promise<Answer> => logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD });
  t.equal((await login()).statusCode, 200);
  t.equal((await app.inject('/readyz')).statusCode, 200);

  for (const outage of ['killed', 'stopped in order']) {
    if (outage === 'killed') await postgres.kill();
    else await postgres.stop();
    checkUnavailable(t, await login(), `login, ${outage}`);
    checkUnavailable(t, await register(app, { phone_number: nextNumber(), password: GOOD_PASSWORD }), 'registration');
    const many = await Promise.all(Array.from({ length: 30 }, login));
    t.ok(many.every((answer) => answer.statusCode === 503), 'also for many at once');
    t.equal((await app.inject('/healthz')).statusCode, 200, 'alive: a restart would not help');
    const notReady = await app.inject('/readyz');
    t.equal(notReady.statusCode, 503);
    t.match(notReady.json(), { status: 'not_ready', failures: { database: String } });
    t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200, 'tokens can still be verified');
    t.equal((await register(app, {})).statusCode, 400, 'what needs no database is answered as ever');

    await postgres.restart();
    await waitFor(async () => (await login()).statusCode === 200, { description: 'a login to work again' });
    t.equal((await app.inject('/readyz')).statusCode, 200);
  }

  const events = async (): Promise<number[]> => {
    const messages = await readStream<EventEnvelope>({ url: nats.url, stream: 'EVENTS', subject: `users.${userId}.>` });
    return messages.map(({ data }) => data.seq);
  };
  await waitFor(async () => (await events()).length >= 4, { description: 'the events of all four to be published' });
  t.same(await events(), [1, 2, 3, 4], 'each once and in order');
});

t.test('a session that the database ends costs one request at most', async (t) => {
  const { app, postgres } = await start(t, { DATABASE_POOL_MAX: '1' });
  const { phone_number: phoneNumber } = await createAccount(app);
  const admin = new pg.Client({ connectionString: postgres.url() });
  await admin.connect();
  t.teardown(() => admin.end());
  for (let round = 0; round < 5; round += 1) {
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()');
    const attempts = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      attempts.push((await logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD })).statusCode);
    }
    const [first = 0, ...later] = attempts;
    t.ok([200, 503].includes(first), attempts.join(' '));
    t.strictSame(later, [200, 200]);
  }
});

t.test('a statement that waits too long is answered 503 and does not stay', async (t) => {
  const byDefault = { DATABASE_CONNECT_MS_MAX: '', DATABASE_STATEMENT_MS_MAX: '' };
  const { app, postgres } = await start(t, { DATABASE_POOL_MAX: '2', ...byDefault });
  const { phone_number: phoneNumber } = await createAccount(app);
  const admin = new pg.Client({ connectionString: postgres.url() });
  await admin.connect();
  t.teardown(() => admin.end());
  await admin.query('begin');
  await admin.query('lock table users in exclusive mode');
  // More than there are connections: two wait for the lock, the others for a connection.
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD })),
  );
  for (const answer of answers) checkUnavailable(t, answer, 'a login that cannot be written');
  await waitFor(async () => (await countHeld(admin)) === 0, { description: 'PostgreSQL not to be kept busy either' });
  await admin.query('commit');
  t.equal((await logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD })).statusCode, 200);
});

t.test('while requests wait for a connection, others are refused at once, and everything else goes on', async (t) => {
  // What the service asks every few seconds would take the place of a request.
  t.capture(globalThis, 'setInterval', (work: () => void) => setInterval(work, LONGER_THAN_THE_TEST_MS));
  const { app, postgres, nats } = await start(t, { DATABASE_POOL_MAX: '1', DATABASE_WAITING_MAX: '2' });
  const { phone_number: phoneNumber, user_id: userId } = await createAccount(app);
  const login = (): Promise<Answer> => logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD });
  const admin = new pg.Client({ connectionString: postgres.url() });
  await admin.connect();
  t.teardown(() => admin.end());
  await admin.query('begin');
  await admin.query('lock table users in access exclusive mode');

  let isOneAnswered = false;
  const loginInTime = async (): Promise<number> => {
    const { statusCode } = await login();
    isOneAnswered = true;
    return statusCode;
  };
  const withConnection = loginInTime();
  await waitFor(async () => (await countHeld(admin)) === 1, { description: 'a login to have the only connection' });
  const admitted = Promise.all([withConnection, loginInTime(), loginInTime()]);
  await waitFor(() => app.pool.waitingCount === 2, { description: 'the queue to be full' });
  for (let attempt = 0; attempt < 3; attempt += 1) checkUnavailable(t, await login(), 'one more');
  t.equal(app.pool.waitingCount, 2);
  t.equal((await app.inject('/readyz')).statusCode, 200, 'the database is well, and who asks is not in the queue');
  const other = new pg.Client({ connectionString: postgres.url() });
  await other.connect();
  t.teardown(() => other.end());
  await other.query(`insert into outbox (event_id, user_id, seq, type, payload)
    values (gen_random_uuid(), ${userId + 1}, 1, 'user.login', '{}')`);
  await waitFor(
    async () => (await readStream({ url: nats.url, stream: 'EVENTS', subject: `users.${userId + 1}.>` })).length === 1,
    { description: 'the relay to publish beside the full queue' },
  );
  t.notOk(isOneAnswered, 'the queue was full all the time');

  await admin.query('rollback');
  t.same(await admitted, [200, 200, 200], 'who had a place is served');
});
