// If this breaks, whoever has to help a user cannot see what is the matter with the account, or ends the wrong sessions,
// or deletes it without the sockets hearing of it.
import { readStream, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { GOOD_PASSWORD, startAuth, type AuthFixture } from '../auth-fixture.ts';
import { infrasignal, readJson } from '../command-line.ts';
import { createAccount, logIn, post } from '../requests.ts';

interface Shown {
  readonly user_id: number;
  readonly phone_number: string;
  readonly sessions: number;
  readonly disabled_at: string | null;
  readonly password_kind: string | null;
}

interface Event {
  readonly type: string;
  readonly data: { readonly user_id: number; readonly reason?: string };
}

const eventsOf = async ({ nats }: AuthFixture, userId: number): Promise<string[]> => {
  const messages = await readStream<Event>({ url: nats.url, stream: 'EVENTS', subject: `users.${userId}.>` });
  return messages.map(({ data: { type, data } }) => (data.reason === undefined ? type : `${type} ${data.reason}`));
};

test('accounts are listed in pages and shown without their secrets', async (t) => {
  const fixture = await startAuth(t);
  const accounts = [];
  for (const number of ['0123456701', '0123456702', '0123456703']) {
    accounts.push(await createAccount(fixture.app, { phone_number: number }));
  }
  const ids = accounts.map(({ user_id: id }) => id);
  t.equal((await infrasignal(fixture, 'users', 'disable', String(ids[1]))).code, 0);

  const list = async (...options: string[]): Promise<number[]> =>
    readJson<Shown[]>(await infrasignal(fixture, 'users', 'list', '--json', ...options)).map(({ user_id: id }) => id);
  t.strictSame(await list(), ids);
  t.strictSame(await list('--limit', '2'), ids.slice(0, 2));
  t.strictSame(await list('--after', String(ids[1])), ids.slice(2));
  t.strictSame(await list('--disabled'), [ids[1]]);
  t.match((await infrasignal(fixture, 'users', 'list', '--limit', '2')).out, new RegExp(`--after ${String(ids[1])}`));
  for (const limit of ['0', '10001', '-1', 'many', '1.5']) {
    t.match(await infrasignal(fixture, 'users', 'list', `--limit=${limit}`), { code: 2, error: /--limit is a whole number/ });
  }

  const run = await infrasignal(fixture, 'users', 'show', '0123456701', '--json');
  t.match(readJson<Shown>(run), { user_id: ids[0], phone_number: '+33123456701', sessions: 1, disabled_at: null });
  t.equal(readJson<Shown>(run).password_kind, '$argon2id$v=19$m=256,t=1,p=1', 'its kind, without salt and digest');
  const [row] = await fixture.database.query<{ hash: string }>(
    'select password_hash as hash from users where id = $1',
    [ids[0]],
  );
  for (const secret of row?.hash.split('$').slice(-2) ?? []) {
    t.notMatch(run.out + (await infrasignal(fixture, 'users', 'show', '0123456701')).out, secret);
  }
  t.match(await infrasignal(fixture, 'users', 'show', '0199999999'), { code: 2, error: /no account/ });
});

test('the sessions of an account end by command, and it may log in again', async (t) => {
  const fixture = await startAuth(t);
  const account = await createAccount(fixture.app, { phone_number: '0123456789' });
  await logIn(fixture.app, { phone_number: '0123456789', password: GOOD_PASSWORD });
  t.match(await infrasignal(fixture, 'users', 'revoke-sessions', '0123456789'), { code: 0, out: /2 sessions ended/ });
  t.equal((await post(fixture.app, '/api/token/refresh/', { refresh: account.refresh })).statusCode, 401);
  await waitFor(async () => (await eventsOf(fixture, account.user_id)).includes('session.revoked session_ended'));
  t.equal((await logIn(fixture.app, { phone_number: '0123456789', password: GOOD_PASSWORD })).statusCode, 200);
});

test('an account is deleted by command only when that is said, and its sockets hear of it', async (t) => {
  const fixture = await startAuth(t);
  const account = await createAccount(fixture.app, { phone_number: '0123456789' });
  t.match(await infrasignal(fixture, 'users', 'delete', '0123456789'), { code: 2, error: /say --yes/ });
  t.equal((await infrasignal(fixture, 'users', 'show', '0123456789')).code, 0, 'it is still there');
  t.match(await infrasignal(fixture, 'users', 'delete', '0123456789', '--yes'), { code: 0, out: /is deleted/ });
  t.equal((await post(fixture.app, '/api/token/verify/', { token: account.access })).statusCode, 401);
  await waitFor(async () => (await eventsOf(fixture, account.user_id)).length === 3);
  t.strictSame(await eventsOf(fixture, account.user_id), [
    'user.registered',
    'session.revoked user_deleted',
    'user.deleted',
  ]);
  const again = await createAccount(fixture.app, { phone_number: '0123456789' });
  t.not(again.user_id, account.user_id, 'the number is free again');
});
