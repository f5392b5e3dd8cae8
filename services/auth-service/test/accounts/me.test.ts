// If this breaks, people cannot see, correct, take away or remove what is held about them, or somebody else can.
import type { TokenResponse } from '@infrasignal/shared';
import { readStream, waitFor } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { createAccount, logIn, post, problemOf, refusals, register, type Answer } from '../requests.ts';

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

function send(app: FastifyInstance, method: 'PATCH' | 'DELETE', tokens: TokenResponse, payload: object): Promise<Answer> {
  return app.inject({ method, url: '/api/me/', payload, headers: bearer(tokens.access) });
}

const get = (app: FastifyInstance, url: string, tokens: TokenResponse): Promise<Answer> =>
  app.inject({ url, headers: bearer(tokens.access) });

test('A29 one reads one’s account, and changes its e-mail address with the password', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app, { phone_number: '01 23 45 67 89', email: 'Ada@Example.COM' });
  await createAccount(app, { email: 'taken@example.com' });
  t.match((await get(app, '/api/me/', tokens)).json(), {
    user_id: tokens.user_id,
    phone_number: '01 23 45 67 89',
    phone_number_e164: '+33123456789',
    email: 'Ada@example.com',
    last_login_at: null,
  });
  const wrong = await send(app, 'PATCH', tokens, { email: 'new@example.com', current_password: 'not this one' });
  t.equal(wrong.statusCode, 403);
  t.strictSame(refusals(wrong), ['/current_password wrong_password']);
  const patch = (email: unknown): Promise<Answer> =>
    send(app, 'PATCH', tokens, { email, current_password: GOOD_PASSWORD });
  t.equal((await patch('taken@example.com')).statusCode, 409);
  t.strictSame(refusals(await patch('no address')), ['/email invalid_email']);
  t.equal((await patch('new@example.com')).json<{ email: string }>().email, 'new@example.com');
  t.equal((await patch(null)).json<{ email: string | null }>().email, null);
});

test('A29 a new password needs the current one and ends the other sessions', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app);
  const other = (await logIn(app, { phone_number: tokens.phone_number, password: GOOD_PASSWORD })).json<TokenResponse>();
  const change = (current: string, next: string): Promise<Answer> =>
    post(app, '/api/password/change/', { current_password: current, new_password: next }, bearer(tokens.access));
  t.equal((await change('not this one', 'another good pass phrase')).statusCode, 403);
  t.strictSame(refusals(await change(GOOD_PASSWORD, 'password123')), ['/new_password password_common']);
  t.equal((await get(app, '/api/me/', other)).statusCode, 200, 'nothing has happened so far');

  t.strictSame((await change(GOOD_PASSWORD, 'another good pass phrase')).json(), { ended: 1 });
  t.equal((await get(app, '/api/me/', other)).statusCode, 401, 'the other session is over');
  t.equal((await get(app, '/api/me/', tokens)).statusCode, 200, 'this one goes on');
  const { phone_number: phoneNumber } = tokens;
  t.equal((await logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD })).statusCode, 401);
  t.equal((await logIn(app, { phone_number: phoneNumber, password: 'another good pass phrase' })).statusCode, 200);
});

test('A29 of two password changes at once one wins, and the loser’s sessions do not decide it', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app);
  const answers = await Promise.all(
    ['the first new pass phrase', 'the second new pass phrase'].map((next) =>
      post(app, '/api/password/change/', { current_password: GOOD_PASSWORD, new_password: next }, bearer(tokens.access)),
    ),
  );
  t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [200, 403]);
});

test('A29 deletion needs the password, removes the person, frees the number and tells the sockets', async (t) => {
  const { app, database, nats } = await startAuth(t);
  const tokens = await createAccount(app, { phone_number: '0198765432', email: 'gone@example.com' });
  t.equal((await send(app, 'DELETE', tokens, { current_password: 'not this one' })).statusCode, 403);
  t.equal((await get(app, '/api/me/', tokens)).statusCode, 200);
  t.equal((await send(app, 'DELETE', tokens, { current_password: GOOD_PASSWORD })).statusCode, 204);
  t.equal((await get(app, '/api/me/', tokens)).statusCode, 401);
  t.equal((await post(app, '/api/token/refresh/', { refresh: tokens.refresh })).statusCode, 401);
  for (const table of ['users', 'sessions']) {
    const rows = await database.query(`select * from ${table}`);
    t.equal(rows.length, 0, `${table} holds nothing of the person`);
  }
  await waitFor(async () => {
    const messages = await readStream<{ type: string }>({ url: nats.url, stream: 'EVENTS' });
    return messages.at(-1)?.data.type === 'user.deleted';
  });
  const types = (await readStream<{ type: string }>({ url: nats.url, stream: 'EVENTS' })).map(({ data }) => data.type);
  t.strictSame(types, ['user.registered', 'session.revoked', 'user.deleted']);
  const again = await register(app, { phone_number: '0198765432', password: GOOD_PASSWORD });
  t.equal(again.statusCode, 201, 'the number is free');
  t.not(again.json<TokenResponse>().user_id, tokens.user_id, 'and the new owner is another user');
});

test('A29 the export holds everything about oneself and no secret', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app, { email: 'me@example.com' });
  const answer = await get(app, '/api/me/export/', tokens);
  t.match(answer.headers['content-disposition'], /attachment/);
  t.match(answer.json(), {
    user_id: tokens.user_id,
    email: 'me@example.com',
    sessions: [{ address: '127.0.0.0/24', revoked_at: null }],
    events: [{ type: 'user.registered', seq: 1, data: { phone_number: tokens.phone_number } }],
  });
  t.notMatch(answer.body, /argon2|v1\.[0-9a-f]{8}-/);
});

test('A17 guarded routes refuse requests without a token, with a forged or revoked one, and a refresh token', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app);
  const guarded: [method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string][] = [
    ['GET', '/api/me/'],
    ['PATCH', '/api/me/'],
    ['DELETE', '/api/me/'],
    ['GET', '/api/me/export/'],
    ['POST', '/api/password/change/'],
    ['POST', '/api/logout/all/'],
    ['GET', '/api/sessions/'],
    ['DELETE', '/api/sessions/00000000-0000-4000-8000-000000000000/'],
  ];
  const revoked = await createAccount(app);
  await post(app, '/api/logout/', { refresh: revoked.refresh });
  const [header = '', payload = '', signature = ''] = tokens.access.split('.');
  const authorizations = [
    undefined,
    `Bearer ${revoked.access}`,
    `Bearer ${tokens.refresh}`,
    `Bearer ${header}.${payload}`,
    `Bearer ${header}.${payload}.${signature.slice(1)}A`,
    `Basic ${tokens.access}`,
    `Bearer ${tokens.access} ${tokens.access}`,
    'Bearer',
  ];
  for (const [method, url] of guarded) {
    for (const authorization of authorizations) {
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await app.inject({ method, url, headers });
      if (answer.statusCode !== 401 || problemOf(answer).code !== 'invalid_token') {
        t.fail(`${method} ${url} with ${authorization ?? 'nothing'} → ${answer.statusCode}`);
      }
      t.match(answer.headers['www-authenticate'], /^Bearer/);
    }
  }
});
