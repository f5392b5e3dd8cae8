// If this breaks, somebody who lost a phone cannot lock it out, or one logout takes all other devices with it.
import type { TokenResponse } from '@infrasignal/shared';
import { readStream, waitFor } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { GOOD_PASSWORD, startAuth, type AuthFixture } from '../auth-fixture.ts';
import { createAccount, logIn, post, type Answer } from '../requests.ts';

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

async function isRefreshable(app: FastifyInstance, { refresh }: TokenResponse): Promise<boolean> {
  return (await post(app, '/api/token/refresh/', { refresh })).statusCode === 200;
}

async function isAccepted(app: FastifyInstance, { access }: TokenResponse): Promise<boolean> {
  const list = await app.inject({ url: '/api/sessions/', headers: bearer(access) });
  const verified = await post(app, '/api/token/verify/', { token: access });
  if ((list.statusCode === 200) !== (verified.statusCode === 200)) throw new Error('a guard and verify disagree');
  return list.statusCode === 200;
}

async function logInAgain(app: FastifyInstance, tokens: TokenResponse): Promise<TokenResponse> {
  return (await logIn(app, { phone_number: tokens.phone_number, password: GOOD_PASSWORD })).json();
}

async function revokedReasons({ nats }: AuthFixture): Promise<string[]> {
  const messages = await readStream<{ data: { reason: string } }>({
    url: nats.url,
    stream: 'EVENTS',
    subject: 'users.*.session.revoked',
  });
  return messages.map(({ data }) => data.data.reason);
}

test('A26 a logout ends exactly its session: refresh and access are refused at once', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  const first = await createAccount(app);
  const second = await logInAgain(app, first);
  t.equal((await post(app, '/api/logout/', { refresh: first.refresh })).statusCode, 204);
  t.notOk(await isRefreshable(app, first));
  t.notOk(await isAccepted(app, first), 'the access token of the session is dead before it expires');
  t.ok(await isAccepted(app, second), 'the other device stays');
  await waitFor(async () => (await revokedReasons(fixture)).length === 1);
  t.strictSame(await revokedReasons(fixture), ['logout']);
});

test('A26 a logout by access token works, and repeating it changes nothing', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  const tokens = await createAccount(app);
  for (let times = 0; times < 3; times += 1) {
    const answer = await app.inject({ method: 'POST', url: '/api/logout', headers: bearer(tokens.access) });
    t.equal(answer.statusCode, 204);
  }
  t.notOk(await isRefreshable(app, tokens));
  await waitFor(async () => (await revokedReasons(fixture)).length > 0);
  t.equal((await revokedReasons(fixture)).length, 1, 'one event');
});

test('A26 a logout with nothing, junk or another service’s token is answered and ends nothing', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app);
  const answers: Answer[] = [
    await app.inject({ method: 'POST', url: '/api/logout/' }),
    await app.inject({ method: 'POST', url: '/api/logout/', headers: bearer('junk') }),
    await post(app, '/api/logout/', { refresh: 'v1.junk' }),
    await post(app, '/api/logout/', {}),
  ];
  t.strictSame(answers.map(({ statusCode }) => statusCode), [204, 204, 204, 204]);
  t.ok(await isRefreshable(app, tokens));
});

test('A26 logout everywhere ends all sessions, or all but this one', async (t) => {
  const { app } = await startAuth(t);
  const first = await createAccount(app);
  const others = [await logInAgain(app, first), await logInAgain(app, first)];
  const stranger = await createAccount(app);

  const kept = await post(app, '/api/logout/all/', { keep_current: true }, bearer(first.access));
  t.strictSame(kept.json(), { ended: 2 });
  t.ok(await isAccepted(app, first));
  for (const other of others) t.notOk(await isAccepted(app, other));

  const all = await app.inject({ method: 'POST', url: '/api/logout/all/', headers: bearer(first.access) });
  t.strictSame(all.json(), { ended: 1 });
  t.notOk(await isAccepted(app, first));
  t.ok(await isAccepted(app, stranger), 'nobody else is touched');
});

test('A26 logins that race a logout everywhere are either ended by it or begun after it', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const rounds = 25;
  let missed = 0;
  for (let round = 0; round < rounds; round += 1) {
    const first = await createAccount(app);
    const logins = Array.from({ length: 3 }, () => logInAgain(app, first));
    const logout = app.inject({ method: 'POST', url: '/api/logout/all/', headers: bearer(first.access) });
    await Promise.all([...logins, logout]);
    // A login is over or it began after: the events of one user are numbered in the order of their commits.
    const rows = await database.query<{ missed: number }>(
      `select count(*)::int as missed from sessions s
         join outbox revocation on revocation.user_id = s.user_id and revocation.type = 'session.revoked'
       where s.user_id = $1 and s.revoked_at is null and s.created_at < revocation.created_at
         and not exists (
           select 1 from outbox login where login.user_id = s.user_id and login.type = 'user.login'
             and login.seq > revocation.seq)`,
      [first.user_id],
    );
    missed += rows[0]?.missed ?? 0;
  }
  t.equal(missed, 0, `${rounds} races`);
});

test('A27 verify accepts live tokens of both kinds and refuses revoked ones', async (t) => {
  const { app } = await startAuth(t);
  const tokens = await createAccount(app);
  const verify = async (token: string): Promise<Answer> => post(app, '/api/token/verify/', { token });
  for (const token of [tokens.access, tokens.refresh]) {
    const answer = await verify(token);
    t.equal(answer.statusCode, 200);
    t.strictSame(answer.json(), {});
  }
  await post(app, '/api/logout/', { refresh: tokens.refresh });
  for (const token of [tokens.access, tokens.refresh, 'junk', `${tokens.access}x`]) {
    const answer = await verify(token);
    t.equal(answer.statusCode, 401);
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"');
  }
});

test('A28 one sees one’s sessions, ends one, and cannot touch another’s', async (t) => {
  const { app } = await startAuth(t);
  const first = await createAccount(app);
  const second = await logInAgain(app, first);
  const stranger = await createAccount(app);
  interface Listed {
    sessions: { id: string; current: boolean; address: string }[];
  }
  const list = await app.inject({ url: '/api/sessions/', headers: bearer(first.access) });
  const { sessions } = list.json<Listed>();
  t.equal(sessions.length, 2);
  t.equal(sessions.filter((session) => session.current).length, 1);
  t.ok(sessions.every((session) => session.address === '127.0.0.0/24'), 'addresses are shortened');
  t.notMatch(list.body, first.refresh.split('.')[3] ?? 'mac', 'no token material');
  t.notMatch(list.body, /v1\./, 'no token material');

  const end = (id: string, token: string): Promise<Answer> =>
    app.inject({ method: 'DELETE', url: `/api/sessions/${id}/`, headers: bearer(token) });
  const secondId = second.refresh.split('.')[1] ?? '';
  t.equal((await end(secondId, stranger.access)).statusCode, 404, 'somebody else’s session does not exist for me');
  t.equal((await end('00000000-0000-4000-8000-000000000000', first.access)).statusCode, 404);
  t.equal((await end('junk', first.access)).statusCode, 400);
  t.equal((await end(secondId, first.access)).statusCode, 204);
  t.notOk(await isAccepted(app, second));
  t.ok(await isAccepted(app, first));
  t.equal((await end(secondId, first.access)).statusCode, 404, 'it is over');
});

test('A17 64 KB of token are no token', async (t) => {
  const { app } = await startAuth(t);
  const { access } = await createAccount(app);
  for (const token of ['x'.repeat(65_536), `${access}.${'A'.repeat(64_000)}`]) {
    t.equal((await post(app, '/api/token/verify/', { token })).statusCode, 401);
  }
  const header = await app.inject({ url: '/api/me/', headers: bearer(`${access}${'A'.repeat(65_536)}`) });
  t.equal(header.statusCode, 401);
});

test('A26 a logout everywhere with thousands of sessions names each of them, in events that the broker takes', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const first = await createAccount(app);
  await database.query(
    `insert into sessions (id, user_id, idle_expires_at, expires_at)
     select gen_random_uuid(), $1, now() + interval '1 day', now() + interval '1 day' from generate_series(1, 6999)`,
    [first.user_id],
  );
  const answer = await app.inject({ method: 'POST', url: '/api/logout/all/', headers: bearer(first.access) });
  t.strictSame(answer.json(), { ended: 7000 });
  const read = (): ReturnType<typeof readStream<{ seq: number; data: { session_ids: string[] } }>> =>
    readStream({ url: fixture.nats.url, stream: 'EVENTS', subject: 'users.*.session.revoked' });
  await waitFor(async () => (await read()).length === 4, { description: 'four events' });
  const events = await read();
  t.equal(new Set(events.flatMap(({ data }) => data.data.session_ids)).size, 7000, 'each session is named once');
  t.strictSame(events.map(({ data }) => data.seq), [2, 3, 4, 5], 'without a hole in seq');
});
