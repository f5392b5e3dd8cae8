// If this breaks, another team's service cannot get in, or one whose secret leaked cannot be kept out; and rights that
// were withdrawn live on in old tokens.
import type { TokenResponse } from '@infrasignal/shared';
import { readStream, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { runCli } from '../../src/cli/cli.ts';
import { GOOD_PASSWORD, startAuth, type AuthFixture } from '../auth-fixture.ts';
import { infrasignal, readJson } from '../command-line.ts';
import { createAccount, logIn, post, type Answer } from '../requests.ts';

const claimsOf = (token: string): { scope?: string; sid: string } =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { scope?: string; sid: string };

interface Credentials {
  client_id: string;
  client_secret: string;
}

const getToken = ({ app }: AuthFixture, { client_id, client_secret }: Credentials): Promise<Answer> =>
  post(app, '/api/service/token/', { client_id, client_secret });

test('A25 a service gets scoped tokens by its secret, which the database does not hold', async (t) => {
  const fixture = await startAuth(t);
  const made = await infrasignal(fixture, 'service-clients', 'create', 'billing', '--scope', 'notifications:all', '--json');
  t.equal(made.code, 0, made.error);
  const credentials = readJson<Credentials>(made);
  const answer = await getToken(fixture, credentials);
  t.equal(answer.statusCode, 200);
  t.match(answer.json(), { token_type: 'Bearer', scope: 'notifications:all' });
  t.equal(claimsOf(answer.json<{ access: string }>().access).scope, 'notifications:all');
  t.equal(answer.headers['cache-control'], 'no-store');
  const rows = await fixture.database.query('select * from service_clients, users, sessions');
  t.notMatch(JSON.stringify(rows), credentials.client_secret);

  for (const wrong of [
    { ...credentials, client_secret: 'not this one' },
    { ...credentials, client_id: '00000000-0000-4000-8000-000000000000' },
  ]) {
    const refused = await getToken(fixture, wrong);
    t.equal(refused.statusCode, 401);
    t.equal(refused.json<{ code: string }>().code, 'invalid_client');
  }
  const login = await logIn(fixture.app, { phone_number: '0123456789', password: credentials.client_secret });
  t.equal(login.statusCode, 401, 'a service has no login');
});

test('A26 a rotated secret overlaps, a revoked client is out at once and its sockets are told', async (t) => {
  const fixture = await startAuth(t);
  const first = readJson<Credentials>(await infrasignal(fixture, 'service-clients', 'create', 'reports', '--json'));
  const second = readJson<Credentials>(await infrasignal(fixture, 'service-clients', 'rotate', first.client_id, '--json'));
  t.equal((await getToken(fixture, first)).statusCode, 200, 'within the overlap');
  t.equal((await getToken(fixture, second)).statusCode, 200);
  const third = readJson<Credentials>(
    await infrasignal(fixture, 'service-clients', 'rotate', first.client_id, '--overlap-hours', '0', '--json'),
  );
  t.equal((await getToken(fixture, second)).statusCode, 401, 'no overlap');
  const { access } = (await getToken(fixture, third)).json<{ access: string }>();
  t.equal((await post(fixture.app, '/api/token/verify/', { token: access })).statusCode, 200);

  t.equal((await infrasignal(fixture, 'service-clients', 'revoke', first.client_id)).code, 0);
  t.equal((await getToken(fixture, third)).statusCode, 401);
  t.equal((await post(fixture.app, '/api/token/verify/', { token: access })).statusCode, 401);
  await waitFor(async () => {
    const events = await readStream<{ data: { session_ids: string[]; reason: string } }>({
      url: fixture.nats.url,
      stream: 'EVENTS',
      subject: 'users.*.session.revoked',
    });
    return events.some(({ data }) => data.data.session_ids.includes(claimsOf(access).sid));
  });
  t.match((await infrasignal(fixture, 'service-clients', 'list')).out, /reports {2}revoked/);
  t.equal((await infrasignal(fixture, 'service-clients', 'revoke', first.client_id)).code, 2, 'once');
});

test('A16 staff scopes are granted and withdrawn by command, and hold at once', async (t) => {
  const fixture = await startAuth(t);
  const account = await createAccount(fixture.app, { phone_number: '0123456789' });
  const again = async (): Promise<TokenResponse> =>
    (await logIn(fixture.app, { phone_number: '0123456789', password: GOOD_PASSWORD })).json();
  t.equal(claimsOf(account.access).scope, undefined);
  t.match(await infrasignal(fixture, 'scopes', 'grant', '+33123456789', 'notifications:all'), { code: 0 });
  const staff = await again();
  t.equal(claimsOf(staff.access).scope, 'notifications:all');
  t.match((await infrasignal(fixture, 'scopes', 'show', '0123456789')).out, /notifications:all/);
  t.match(await infrasignal(fixture, 'scopes', 'withdraw', String(account.user_id), 'notifications:all'), { code: 0 });
  const verify = await post(fixture.app, '/api/token/verify/', { token: staff.access });
  t.equal(verify.statusCode, 401, 'a token with the old right is over');
  t.equal(claimsOf((await again()).access).scope, undefined);
});

test('A18 a rotation by command signs new tokens with a new key; old ones verify on, here and elsewhere', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  const kidOf = (token: string): string =>
    (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;
  const before = await createAccount(app);
  t.match(await infrasignal(fixture, 'rotate-keys'), { code: 0 });
  const published = async (): Promise<string[]> =>
    (await app.inject('/.well-known/jwks.json')).json<{ keys: { kid: string }[] }>().keys.map(({ kid }) => kid);
  await waitFor(async () => (await published()).length === 2, { description: 'the new key' });
  const after = await createAccount(app);
  t.not(kidOf(after.access), kidOf(before.access));
  t.strictSame((await published()).sort(), [kidOf(before.access), kidOf(after.access)].sort());
  for (const { access } of [before, after]) {
    t.equal((await post(app, '/api/token/verify/', { token: access })).statusCode, 200);
  }
  await fixture.database.query(
    `update signing_keys set retired_at = now() - interval '1 day' where kid = $1`,
    [kidOf(before.access)],
  );
  // An instance looks every 5 s: once it removes the key, and the next time it finds it gone.
  await waitFor(async () => (await published()).length === 1, { description: 'the old key to be gone' });
  t.strictSame(await published(), [kidOf(after.access)], 'a key goes when its last token has expired');
});

test('A18 after a leak the former keys are gone at once, and sessions go on with a refresh', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  const account = await createAccount(app);
  t.match(await infrasignal(fixture, 'rotate-keys', '--forget-former'), { code: 0, out: /Published: \S+\.\n/ });
  const isRefused = async (): Promise<boolean> =>
    (await post(app, '/api/token/verify/', { token: account.access })).statusCode === 401;
  await waitFor(isRefused, { description: 'instances to follow' });
  const refreshed = await post(app, '/api/token/refresh/', { refresh: account.refresh });
  t.equal(refreshed.statusCode, 200);
  const { access } = refreshed.json<TokenResponse>();
  t.equal((await post(app, '/api/token/verify/', { token: access })).statusCode, 200);
});

test('A32 the command line says what is wrong and how it is used', async (t) => {
  const fixture = await startAuth(t);
  t.match(await infrasignal(fixture), { code: 0, out: /rotate-keys/ });
  t.match(await infrasignal(fixture, 'nonsense'), { code: 2, error: /usage: infrasignal/ });
  t.match(await infrasignal(fixture, 'scopes', 'grant', '--help'), { code: 0, out: /For instance/ });
  t.match(await infrasignal(fixture, 'scopes', 'grant', '0199999999', 'notifications:all'), { code: 2, error: /no account/ });
  t.match(await infrasignal(fixture, 'scopes', 'grant', '1', 'everything'), { code: 2, error: /notifications:all/ });
  t.match(await infrasignal(fixture, 'service-clients', 'create', 'No Good'), { code: 2, error: /name/ });
  t.match(await infrasignal(fixture, 'service-clients', 'list', '--nonsense'), { code: 2, error: /nonsense/ });
  const error: string[] = [];
  const terminal = { out: () => undefined, error: (line: string) => void error.push(line) };
  t.equal(await runCli(['rotate-keys'], { DATABASE_URL: 'postgres://localhost/none' }, terminal), 78);
  t.match(error.join('\n'), /SECRET_KEY/);
});

test('A26 a banned account is out at once and stays out until it is let in', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  const account = await createAccount(app, { phone_number: '0123456789' });
  const again = (): Promise<Answer> => logIn(app, { phone_number: '0123456789', password: GOOD_PASSWORD });
  t.match(await infrasignal(fixture, 'users', 'disable', '0123456789'), { code: 0, out: /1 sessions ended/ });
  t.equal((await post(app, '/api/token/refresh/', { refresh: account.refresh })).statusCode, 401);
  t.equal((await post(app, '/api/token/verify/', { token: account.access })).statusCode, 401);
  t.equal((await again()).statusCode, 401);
  await waitFor(async () => {
    const events = await readStream<{ data: { reason: string } }>({
      url: fixture.nats.url,
      stream: 'EVENTS',
      subject: 'users.*.session.revoked',
    });
    return events.some(({ data }) => data.data.reason === 'user_disabled');
  });
  t.match(await infrasignal(fixture, 'users', 'enable', String(account.user_id)), { code: 0 });
  t.equal((await again()).statusCode, 200);
  t.equal((await post(app, '/api/token/verify/', { token: account.access })).statusCode, 401, 'the old session stays ended');
});
