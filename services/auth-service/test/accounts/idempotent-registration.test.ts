// If this breaks, somebody whose answer was lost on the way is told that their number is taken, or has two accounts, or
// is announced twice; or a copy of the database is something to log in with.
import type { TokenResponse } from '@infrasignal/shared';
import { startFaultProxy, startServiceProcess, startTestNats, waitFor } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { randomUUID } from 'node:crypto';
import tap, { test } from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createAuthDatabase, GOOD_PASSWORD, startAuth, testEnvironment, type AuthFixture } from '../auth-fixture.ts';
import { logIn, nextNumber, post, problemOf, type Answer } from '../requests.ts';

let fixture: AuthFixture;

tap.before(async () => {
  fixture = await startAuth(tap);
});

interface Registration {
  readonly phone_number: string;
  readonly password: string;
  readonly email?: string | null;
}

function aRegistration(): Registration {
  return { phone_number: nextNumber(), password: GOOD_PASSWORD };
}

function send(body: object, key: string, app: FastifyInstance = fixture.app): Promise<Answer> {
  return post(app, '/api/register/', body, { 'idempotency-key': key });
}

/** Users, live sessions and events that a number has. */
async function countsOf({ phone_number: phoneNumber }: Registration): Promise<unknown> {
  const [counts] = await fixture.database.query(
    `with account as (select id from users where phone_number = $1)
     select (select count(*)::int from account) as users,
       (select count(*)::int from sessions where user_id in (select id from account)) as sessions,
       (select count(*)::int from outbox where user_id in (select id from account)) as events`,
    [phoneNumber],
  );
  return counts;
}

const ONCE = { users: 1, sessions: 1, events: 1 };

function tokensOf(answer: Answer): TokenResponse {
  return answer.json();
}

function sessionOf({ access }: TokenResponse): string {
  const claims = Buffer.from(access.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(claims) as { sid: string }).sid;
}

test('A4 same key and body: the same 201, one user, one session, one event', async (t) => {
  const { app } = fixture;
  const body = { ...aRegistration(), email: 'idempotent@example.com' };
  const key = randomUUID();
  const answers = [await send(body, key), await send(body, key), await send(body, `"${key}"`)];
  for (const answer of answers) {
    t.equal(answer.statusCode, 201);
    t.equal(answer.headers['cache-control'], 'no-store');
  }
  const [first, ...others] = answers.map(tokensOf);
  for (const other of others) {
    const { access, refresh_expires_in: expiresIn, ...rest } = other;
    const { access: _, refresh_expires_in: firstExpiresIn, ...same } = first!;
    t.strictSame(rest, same, 'all but the access token, which is one of now');
    t.ok(expiresIn <= firstExpiresIn && expiresIn > firstExpiresIn - 60);
    t.equal(sessionOf(other), sessionOf(first!));
    t.equal((await post(app, '/api/token/verify/', { token: access })).statusCode, 200, 'and it works');
  }
  t.strictSame(await countsOf(body), ONCE);
  t.equal((await post(app, '/api/token/refresh/', { refresh: others[1]!.refresh })).statusCode, 200);
});

test('A4 what means the same request is the same: order of members, spaces, a null address', async (t) => {
  const { phone_number: phoneNumber, password } = aRegistration();
  const key = randomUUID();
  const spellings = [
    JSON.stringify({ phone_number: phoneNumber, password }),
    JSON.stringify({ password, phone_number: phoneNumber, email: null }, null, 2),
  ];
  for (const body of spellings) {
    const answer = await post(fixture.app, '/api/register', body, { 'idempotency-key': key });
    t.equal(answer.statusCode, 201, body);
  }
});

test('A4 the same key with another body is 422, and changes nothing', async (t) => {
  const body = aRegistration();
  const key = randomUUID();
  t.equal((await send(body, key)).statusCode, 201);
  const number = body.phone_number;
  const others = [
    { ...body, phone_number: nextNumber() },
    { ...body, phone_number: `+33${number.slice(1)}` },
    { ...body, password: `${GOOD_PASSWORD}!` },
    { ...body, email: 'another@example.com' },
  ];
  for (const other of others) {
    const answer = await send(other, key);
    t.equal(answer.statusCode, 422, JSON.stringify(other));
    t.equal(problemOf(answer).code, 'idempotency_key_reused');
  }
  t.strictSame(await countsOf(body), ONCE);
  t.strictSame(await countsOf(others[0]!), { users: 0, sessions: 0, events: 0 });
  t.equal((await send(body, key)).statusCode, 201, 'the first is answered on');
});

test('A4 another key, or none, is another registration: the number is taken', async (t) => {
  const body = aRegistration();
  t.equal((await send(body, randomUUID())).statusCode, 201);
  for (const answer of [await send(body, randomUUID()), await post(fixture.app, '/api/register/', body)]) {
    t.equal(answer.statusCode, 409);
    t.equal(problemOf(answer).code, 'phone_number_taken');
  }
});

test('A4 a refused registration leaves its key free', async (t) => {
  const key = randomUUID();
  t.equal((await send({ ...aRegistration(), password: 'short' }, key)).statusCode, 400);
  const taken = aRegistration();
  t.equal((await send(taken, randomUUID())).statusCode, 201);
  t.equal((await send(taken, key)).statusCode, 409);
  t.equal((await send(aRegistration(), key)).statusCode, 201);
});

test('A4 parallel retries: one does the work, all get its answer', async (t) => {
  const body = aRegistration();
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 30 }, () => send(body, key)));
  t.ok(answers.every(({ statusCode }) => statusCode === 201), String(answers.map(({ statusCode }) => statusCode)));
  t.equal(new Set(answers.map((answer) => tokensOf(answer).refresh)).size, 1);
  t.strictSame(await countsOf(body), ONCE);
});

test('A4 parallel requests with one key for different numbers: one account, the others 422', async (t) => {
  const key = randomUUID();
  const bodies = Array.from({ length: 20 }, aRegistration);
  const answers = await Promise.all(bodies.map((body) => send(body, key)));
  t.equal(answers.filter(({ statusCode }) => statusCode === 201).length, 1);
  t.equal(answers.filter(({ statusCode }) => statusCode === 422).length, 19);
});

test('A4 killed between commit and answer, the retry has the account that was made', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const databaseUrl = new URL(database.url);
  const proxy = await startFaultProxy(t, { port: Number(databaseUrl.port) });
  databaseUrl.port = String(proxy.port);
  const service = await startServiceProcess(t, {
    entry: 'services/auth-service/src/server.ts',
    env: testEnvironment({ databaseUrl: databaseUrl.href, natsUrl: nats.url }),
  });
  const body = aRegistration();
  const register = (): Promise<Response> =>
    fetch(`${service.url}/api/register/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': '"killed-before-the-answer"' },
      body: JSON.stringify(body),
    });
  proxy.setRule((chunk) => (chunk.includes('registration_key as') ? 'swallow-answers' : 'forward'));
  const lost = register().then(() => 'an answer', () => 'no answer');
  await waitFor(async () => (await database.query('select 1 from registration_keys')).length === 1);
  await service.kill();
  proxy.setRule(null);
  t.equal(await lost, 'no answer', 'the account is committed, and nobody was told');

  await service.restart();
  const again = await register();
  t.equal(again.status, 201);
  const { user_id: userId, access } = (await again.json()) as TokenResponse;
  t.strictSame(await database.query('select user_id::int, seq::int, type from outbox'), [
    { user_id: userId, seq: 1, type: 'user.registered' },
  ]);
  const me = await fetch(`${service.url}/api/me/`, { headers: { authorization: `Bearer ${access}` } });
  t.equal(me.status, 200);
});

test('A4 a retry after the session moved on or ended is told so, and does it no harm', async (t) => {
  const { app, database } = fixture;
  const refused = async (body: Registration, key: string, what: string): Promise<void> => {
    const answer = await send(body, key);
    t.equal(answer.statusCode, 409, what);
    t.equal(problemOf(answer).code, 'idempotency_key_spent', what);
  };
  const ends: Record<string, (tokens: TokenResponse) => Promise<unknown>> = {
    'logged out': ({ refresh }) => post(app, '/api/logout/', { refresh }),
    'expired': (tokens) =>
      database.query('update sessions set idle_expires_at = now() where id = $1', [sessionOf(tokens)]),
    'disabled': ({ user_id: id }) => database.query('update users set disabled_at = now() where id = $1', [id]),
    'without a password': ({ user_id: id }) =>
      database.query('update users set password_hash = null where id = $1', [id]),
  };
  for (const [what, end] of Object.entries(ends)) {
    const [body, key] = [aRegistration(), randomUUID()];
    await end(tokensOf(await send(body, key)));
    await refused(body, key, what);
  }

  const [body, key] = [aRegistration(), randomUUID()];
  const { refresh } = tokensOf(await send(body, key));
  const next = tokensOf(await post(app, '/api/token/refresh/', { refresh }));
  await refused(body, key, 'refreshed');
  t.equal((await post(app, '/api/token/refresh/', { refresh: next.refresh })).statusCode, 200, 'the session lives');
});

test('A4 a retry does not bring a deleted account back', async (t) => {
  const { app } = fixture;
  const [body, key] = [aRegistration(), randomUUID()];
  const { access } = tokensOf(await send(body, key));
  const payload = { current_password: GOOD_PASSWORD };
  const headers = { authorization: `Bearer ${access}` };
  t.equal((await app.inject({ method: 'DELETE', url: '/api/me/', payload, headers })).statusCode, 204);
  const answer = await send(body, key);
  t.equal(answer.statusCode, 409);
  t.equal(problemOf(answer).code, 'idempotency_key_spent');
  t.strictSame(await countsOf(body), { users: 0, sessions: 0, events: 0 });
});

test('A4 a key is no credential: without the password it gives nothing, and it is no way to guess it', async (t) => {
  const { database } = fixture;
  const [body, key] = [aRegistration(), randomUUID()];
  t.equal((await send(body, key)).statusCode, 201);
  const guess = await send({ ...body, password: 'a guess that is not right' }, key);
  t.equal(guess.statusCode, 422);
  t.notOk(guess.body.includes('v1.'));
  t.equal((await send(body, key)).statusCode, 201, 'who knows the password may as well log in');
  await database.query(`update registration_keys set retry_count = 99
    where session_id in (select s.id from sessions s join users u on u.id = user_id where phone_number = $1)`, [
    body.phone_number,
  ]);
  t.equal((await send(body, key)).statusCode, 201, 'the hundredth');
  const answer = await send(body, key);
  t.equal(answer.statusCode, 409, 'one more');
  t.equal(problemOf(answer).code, 'idempotency_key_spent');
  t.equal((await logIn(fixture.app, { ...body })).statusCode, 200);
});

test('A4 keys that are none are 400', async (t) => {
  const body = aRegistration();
  const bad = ['', '""', 'x'.repeat(7), 'x'.repeat(129), 'two keys, in one', '"half-quoted-key', 'ünder-the-sea', 'a;b=c;d=e'];
  for (const key of bad) {
    const answer = await send(body, key);
    t.equal(answer.statusCode, 400, key);
    t.match(problemOf(answer), { errors: [{ pointer: '/idempotency-key', code: 'invalid_format' }] }, key);
  }
  t.strictSame(await countsOf(body), { users: 0, sessions: 0, events: 0 });
  for (const key of ['x'.repeat(8), 'y'.repeat(128), '"0.~:+/=-_A"']) {
    t.equal((await send(aRegistration(), key)).statusCode, 201, key);
  }
});

test('A4 A25 the table holds no key, no token and nothing to try passwords on', async (t) => {
  const { database } = fixture;
  const body = { ...aRegistration(), email: 'canary@example.com' };
  const key = 'a-canary-among-the-keys';
  const { refresh, access } = tokensOf(await send(body, key));
  const rows = JSON.stringify(await database.query('select * from registration_keys'));
  for (const secret of [key, refresh, access, refresh.split('.')[3]!, body.password, body.phone_number, body.email]) {
    t.notOk(rows.includes(secret), secret);
  }
  t.notMatch(rows, /argon2/);
});

test('A4 a retry after a change of SECRET_KEY is still one', async (t) => {
  const { database, nats } = fixture;
  const [body, key] = [aRegistration(), randomUUID()];
  const first = tokensOf(await send(body, key));
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  const app = await buildApp(
    loadConfig({
      ...environment,
      SECRET_KEY: 'another test key that is long enough to be one: 0123456789',
      SECRET_KEY_FALLBACKS: environment.SECRET_KEY,
    }),
  );
  t.teardown(() => app.close());
  const again = await send(body, key, app);
  t.equal(again.statusCode, 201);
  t.equal(sessionOf(tokensOf(again)), sessionOf(first));
  t.equal((await post(app, '/api/token/refresh/', { refresh: tokensOf(again).refresh })).statusCode, 200);
});

test('A4 keys of more than a day ago go with later registrations', async (t) => {
  const { database } = fixture;
  await send(aRegistration(), 'a-key-of-yesterday');
  await database.query(`update registration_keys set created_at = now() - interval '25 hours'`);
  await send(aRegistration(), 'a-key-of-today');
  await send(aRegistration(), 'another-key-of-today');
  await waitFor(async () => {
    await send(aRegistration(), randomUUID());
    const old = await database.query(`select 1 from registration_keys where created_at < now() - interval '1 day'`);
    return old.length === 0;
  });
  t.equal((await database.query('select 1 from registration_keys')).length > 0, true, 'and none of today');
});

test('A4 in cookie mode too: the retry sets the same refresh token', async (t) => {
  const { app } = fixture;
  const [payload, key] = [aRegistration(), randomUUID()];
  const headers = { origin: 'http://localhost:8000', 'idempotency-key': key };
  const url = '/api/register/?session=cookie';
  const answers = [1, 2].map(() => app.inject({ method: 'POST', url, payload, headers }));
  const cookies = (await Promise.all(answers)).map((answer) => {
    t.equal(answer.statusCode, 201);
    return answer.cookies.find(({ name }) => name.endsWith('refresh'))?.value;
  });
  t.type(cookies[0], 'string');
  t.equal(cookies[0], cookies[1]);
});
