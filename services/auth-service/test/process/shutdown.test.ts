// If this breaks, every deployment loses the requests that are being answered at that moment, or ends as a failure and
// pages somebody.
import { waitFor } from '@infrasignal/testkit';
import { once } from 'node:events';
import { connect } from 'node:net';
import pg from 'pg';
import t from 'tap';
import { GOOD_PASSWORD, type TestContext } from '../auth-fixture.ts';
import { startAuthProcess, type AuthProcess } from './service.ts';

/** Holds every registration back at its last step until released. */
async function holdRegistrations(t: TestContext, { database }: AuthProcess): Promise<() => Promise<unknown>> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined); // the database is dropped with the test
  await client.connect();
  t.teardown(() => client.end());
  await client.query('begin');
  await client.query('lock table users in exclusive mode'); // readers pass, writers wait
  return () => client.query('commit');
}

function countHeld({ database }: AuthProcess): Promise<unknown[]> {
  return database.query(
    "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
}

t.test('after SIGTERM requests in flight are answered, new ones are refused, and the exit is 0', async (t) => {
  const auth = await startAuthProcess(t);
  const { service, database, send } = auth;
  const release = await holdRegistrations(t, auth);
  const numbers = ['0123456781', '0123456782', '0123456783'];
  const inFlight = numbers.map((phone_number) => send('POST', '/api/register/', { phone_number, password: GOOD_PASSWORD }));
  await waitFor(async () => (await countHeld(auth)).length === numbers.length);
  const silent = connect({ host: '127.0.0.1', port: service.port }); // a preconnect: nothing is ever sent on it
  const onItsWay = connect({ host: '127.0.0.1', port: service.port });
  t.teardown(() => (silent.destroy(), onItsWay.destroy()));
  await Promise.all([once(silent, 'connect'), once(onItsWay, 'connect')]);
  let answer = '';
  onItsWay.setEncoding('utf8').on('data', (chunk) => (answer += String(chunk)));
  onItsWay.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n');
  t.equal((await send('GET', '/readyz')).status, 200);

  const exited = service.exited;
  await service.kill('SIGTERM');
  await waitFor(
    () =>
      new Promise((resolve) => {
        const newcomer = connect({ host: '127.0.0.1', port: service.port });
        newcomer.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
        newcomer.once('connect', () => (newcomer.destroy(), resolve(false)));
      }),
    { description: 'new connections to be refused' },
  );
  onItsWay.write('\r\n');
  await once(onItsWay, 'close');
  t.match(answer, /^HTTP\/1\.1 503 [^]*"shutting down"/, 'what is still on its way is told that we close');
  t.equal((await countHeld(auth)).length, numbers.length, 'and what was begun is still being worked on');

  await release();
  for (const [at, response] of (await Promise.all(inFlight)).entries()) {
    t.equal(response.status, 201);
    t.equal(response.headers.get('connection'), 'close');
    t.match(await response.json(), { phone_number: numbers[at], access: String, refresh: String });
  }
  t.same(await exited, { code: 0, signal: null });
  t.same(await database.query('select count(*)::int as count from users'), [{ count: numbers.length }]);
  // The server sees the end of a connection when the backend gets to run, which may be after the exit.
  const leftover = (): Promise<unknown[]> =>
    database.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name like 'infrasignal%'",
    );
  await waitFor(async () => (await leftover()).length === 0, { description: 'no connection to be left behind' });
});

t.test('a request that outlasts the grace period is cut off, or by a second signal, and the exit tells', async (t) => {
  const auth = await startAuthProcess(t, { SHUTDOWN_GRACE_SECONDS: '1' });
  const { service, database, send } = auth;
  const release = await holdRegistrations(t, auth);
  const hold = async (): Promise<{ cutOff: Promise<Response> }> => {
    const cutOff = send('POST', '/api/register/', { phone_number: '0123456789', password: GOOD_PASSWORD });
    cutOff.catch(() => undefined);
    await waitFor(async () => (await countHeld(auth)).length === 1);
    return { cutOff };
  };

  const grace = { ...(await hold()), exited: service.exited };
  await service.kill('SIGINT');
  t.same(await grace.exited, { code: 1, signal: null });
  t.match(service.logs(), /"signal":"SIGINT"[^]*not closed within the grace period/);
  await t.rejects(grace.cutOff);
  await database.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");

  await service.restart({ SHUTDOWN_GRACE_SECONDS: '600' });
  const impatient = { ...(await hold()), exited: service.exited };
  await service.kill('SIGTERM');
  await waitFor(() => service.logs().includes('"signal":"SIGTERM"'));
  await service.kill('SIGTERM');
  t.same(await impatient.exited, { code: 1, signal: null });
  await t.rejects(impatient.cutOff);
  await release();
});
