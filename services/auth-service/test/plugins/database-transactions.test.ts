// If this breaks, a database that stops answering for a moment costs the pool its connections one by one, until nothing
// but a restart helps; or it leaves one in the middle of a transaction, and who logs in on that connection is told that
// it worked, and was never logged in.
import { startFaultProxy, startTestNats, startTestPostgres, waitFor, type FaultProxy } from '@infrasignal/testkit';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import t from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { GOOD_PASSWORD, testEnvironment } from '../auth-fixture.ts';
import { createAccount, logIn } from '../requests.ts';

const [postgres, nats] = await Promise.all([startTestPostgres(t), startTestNats(t)]);
await migrateDatabase(postgres.url());
const admin = new pg.Pool({ connectionString: postgres.url(), max: 1 });
admin.on('error', () => undefined); // the server may end before it does
t.teardown(() => admin.end());

/** An instance with a single connection for requests, and what stands between it and its database. */
async function start(t: { teardown(handler: () => unknown): unknown }) {
  const proxy = await startFaultProxy(t, { port: postgres.port });
  const url = new URL(postgres.url());
  url.port = String(proxy.port);
  const environment = testEnvironment({ databaseUrl: url.href, natsUrl: nats.url });
  const limits = { DATABASE_POOL_MAX: '1', DATABASE_CONNECT_MS_MAX: '3000', DATABASE_STATEMENT_MS_MAX: '1000' };
  const app = await buildApp(loadConfig({ ...environment, ...limits }));
  t.teardown(() => app.close());
  await app.ready();
  const account = await createAccount(app);
  /** Ends a session that there is not: a transaction that changes nothing. */
  const endNoSession = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${account.access}` };
    return (await app.inject({ method: 'DELETE', url: `/api/sessions/${randomUUID()}`, headers })).statusCode;
  };
  const login = async (): Promise<number> =>
    (await logIn(app, { phone_number: account.phone_number, password: GOOD_PASSWORD })).statusCode;
  return { proxy, endNoSession, login, userId: account.user_id };
}

/** From this statement on nothing gets through, in either direction. */
function loseFrom(proxy: FaultProxy, statement: string): void {
  proxy.setRule((chunk) => {
    if (chunk.includes(statement)) proxy.blackHole();
    return 'forward';
  });
}

t.test('a connection that is lost at the beginning of a transaction is given back', async (t) => {
  const { proxy, endNoSession, login } = await start(t);
  proxy.setRule((chunk) => {
    if (chunk.includes('begin')) proxy.reset();
    return 'forward';
  });
  for (let round = 0; round < 3; round += 1) t.equal(await endNoSession(), 503);
  proxy.setRule(null);
  t.equal(await endNoSession(), 404);
  t.equal(await login(), 200);
});

t.test('nobody is given a connection whose transaction was left in doubt', async (t) => {
  const { proxy, endNoSession, login, userId } = await start(t);
  loseFrom(proxy, 'for update');
  t.equal(await endNoSession(), 503);
  proxy.setRule(null);
  await proxy.heal();
  await waitFor(async () => (await login()) === 200, { description: 'a login to work again' });
  t.equal(await login(), 200);
  // Everything that was answered is committed, and nothing is left open.
  const { rows } = await admin.query<{ sessions: number; events: number }>(
    `select (select count(*)::int from sessions where user_id = $1) as sessions,
      (select count(*)::int from outbox where user_id = $1) as events`,
    [userId],
  );
  const [stored] = rows;
  t.ok(stored !== undefined && stored.sessions >= 3, 'the registration and both logins are committed');
  t.equal(stored?.events, stored?.sessions);
  await waitFor(
    async () => {
      const open = await admin.query(
        "select 1 from pg_stat_activity where application_name = 'infrasignal-auth' and state like 'idle in transaction%'",
      );
      return open.rowCount === 0;
    },
    { description: 'every transaction to be over' },
  );
});
