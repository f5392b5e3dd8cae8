// If this breaks, a failover to a database that was behind makes one user the heir of another's events, numbers two
// events alike so that nobody hears of the second, and lets ended sessions back in.
import { readStream, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { GOOD_PASSWORD, startAuth, testEnvironment } from '../auth-fixture.ts';
import { infrasignal, readJson } from '../command-line.ts';
import { createAccount, logIn, post } from '../requests.ts';

interface Reconciled {
  readonly events: number;
  readonly raised_users: number;
  readonly ended_sessions: number;
  readonly missing_user_ids: number[];
  readonly returned_user_ids: number[];
}

interface Stored {
  readonly type: string;
  readonly seq: number;
}

test('after lost commits nothing that was published is numbered, or given out, a second time', async (t) => {
  const fixture = await startAuth(t);
  const { app, database, nats } = fixture;
  const stored = async (subject: string): Promise<Stored[]> =>
    (await readStream<Stored>({ url: nats.url, stream: 'EVENTS', subject })).map(({ data }) => data);
  const stays = await createAccount(app, { phone_number: '0123456701' });
  const missing = await createAccount(app, { phone_number: '0123456702' });
  const returned = await createAccount(app, { phone_number: '0123456703' });
  const backup = await database.query<{ row: string }>('select to_jsonb(u)::text as row from users u where id = $1', [
    returned.user_id,
  ]);
  const session = await logIn(app, { phone_number: '0123456701', password: GOOD_PASSWORD });
  const { refresh } = session.json<{ refresh: string }>();
  t.equal((await post(app, '/api/logout/', { refresh })).statusCode, 204);
  t.match(await infrasignal(fixture, 'users', 'delete', String(returned.user_id), '--yes'), { code: 0 });
  await waitFor(async () => (await stored('users.>')).length === 7);
  t.match(await infrasignal(fixture, 'outbox', 'reconcile'), { code: 2, error: /stop every auth-service first/ });
  await app.close();

  // What a replica looks like that did not get the last commits.
  await database.query('delete from outbox');
  await database.query('update users set event_seq = 1 where id = $1', [stays.user_id]);
  await database.query('update sessions set revoked_at = null');
  await database.query('delete from users where id = $1', [missing.user_id]);
  await database.query(
    'insert into users overriding system value select * from jsonb_populate_record(null::users, $1::jsonb)',
    [backup[0]?.row],
  );
  await database.query("select setval(pg_get_serial_sequence('users', 'id'), 1)");

  const run = await infrasignal(fixture, 'outbox', 'reconcile', '--json');
  t.equal(run.code, 0, run.error);
  t.match(readJson<Reconciled>(run), {
    events: 7,
    raised_users: 2,
    ended_sessions: 1,
    missing_user_ids: [missing.user_id],
    returned_user_ids: [returned.user_id],
  });
  const again = readJson<Reconciled>(await infrasignal(fixture, 'outbox', 'reconcile', '--json'));
  t.match(again, { raised_users: 0, ended_sessions: 0 }, 'twice is once');

  const config = loadConfig(testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }));
  const next = await buildApp(config);
  t.teardown(() => next.close());
  await next.ready();
  t.equal((await post(next, '/api/token/refresh/', { refresh })).statusCode, 401, 'the ended session stays ended');
  await logIn(next, { phone_number: '0123456701', password: GOOD_PASSWORD });
  const newcomer = await createAccount(next, { phone_number: '0123456704' });
  t.ok(newcomer.user_id > returned.user_id, 'nobody inherits an id');
  await waitFor(async () => (await stored(`users.${newcomer.user_id}.>`)).length === 1);
  await waitFor(async () => (await stored(`users.${stays.user_id}.>`)).length === 4);
  t.strictSame(
    (await stored(`users.${stays.user_id}.>`)).map(({ seq, type }) => `${seq} ${type}`),
    ['1 user.registered', '2 user.login', '3 session.revoked', '4 user.login'],
    'no number twice, and none left out',
  );
});

test('reconcile refuses what it cannot look back to', async (t) => {
  const fixture = await startAuth(t);
  await fixture.app.close();
  for (const minutes of ['0', '10081', 'all']) {
    t.match(await infrasignal(fixture, 'outbox', 'reconcile', `--minutes=${minutes}`), { code: 2, error: /--minutes/ });
  }
});
