// If this breaks, two tabs that wake up together sign each other out, a lost answer signs a phone out for good, or a
// stolen refresh token lives beside its owner's for a month.
import type { TokenResponse } from '@infrasignal/shared';
import { readStream, waitFor, type StreamMessage } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { startAuth, type AuthFixture } from '../auth-fixture.ts';
import { createAccount, post, problemOf, type Answer } from '../requests.ts';

const refresh = (app: FastifyInstance, token: string): Promise<Answer> =>
  post(app, '/api/token/refresh/', { refresh: token });

const sessionIdOf = (token: string): string => token.split('.')[1] ?? '';
const counterOf = (token: string): number => Number(token.split('.')[2]);

/** Moves a session's rotation into the past, as if the grace had run out. */
async function passGrace({ database }: AuthFixture, token: string): Promise<void> {
  await database.query(`update sessions set rotated_at = rotated_at - interval '11 seconds' where id = $1`, [
    sessionIdOf(token),
  ]);
}

async function revocations({ nats }: AuthFixture): Promise<StreamMessage<{ data: { reason: string } }>[]> {
  return readStream({ url: nats.url, stream: 'EVENTS', subject: 'users.*.session.revoked' });
}

test('A19 a refresh token works once; its replay after the grace ends the session, with one event', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  const first = await createAccount(app);
  const second = (await refresh(app, first.refresh)).json<TokenResponse>();
  t.equal(counterOf(second.refresh), 1);
  t.equal(second.user_id, first.user_id);
  t.equal(second.phone_number, first.phone_number);
  await passGrace(fixture, first.refresh);

  const replays = await Promise.all(Array.from({ length: 10 }, () => refresh(app, first.refresh)));
  t.ok(replays.every((answer) => answer.statusCode === 401 && problemOf(answer).code === 'invalid_refresh_token'));
  t.equal((await refresh(app, second.refresh)).statusCode, 401, 'the successor is dead too');
  await waitFor(async () => (await revocations(fixture)).length > 0);
  const events = await revocations(fixture);
  t.equal(events.length, 1, 'ten replays, one event');
  t.match(events[0]?.data.data, { reason: 'refresh_reuse', session_ids: [sessionIdOf(first.refresh)] });
});

test('A20 any number of parallel refreshes of one token get the same successor, and one rotation', async (t) => {
  const fixture = await startAuth(t);
  for (const parallel of [20, 50, 100]) {
    const { refresh: token } = await createAccount(fixture.app);
    const answers = await Promise.all(Array.from({ length: parallel }, () => refresh(fixture.app, token)));
    t.ok(answers.every((answer) => answer.statusCode === 200), `${parallel} of ${parallel} are answered`);
    t.equal(new Set(answers.map((answer) => answer.json<TokenResponse>().refresh)).size, 1, 'one successor');
    const [row] = await fixture.database.query<{ refresh_counter: number }>(
      'select refresh_counter from sessions where id = $1',
      [sessionIdOf(token)],
    );
    t.equal(row?.refresh_counter, 1, 'one rotation');
  }
});

test('A21 a replay within the grace answers the successor whole; the grace does not slide', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const { refresh: first } = await createAccount(app);
  const second = (await refresh(app, first)).json<TokenResponse>();
  const rotatedAt = async (): Promise<unknown> =>
    (await database.query('select rotated_at from sessions where id = $1', [sessionIdOf(first)]))[0]?.rotated_at;
  const before = await rotatedAt();
  const replay = (await refresh(app, first)).json<TokenResponse>();
  t.equal(replay.refresh, second.refresh, 'the same refresh token, not a second chain');
  t.match(replay, { access: /^ey/, refresh: /^v1\./, token_type: 'Bearer' }, 'whole');
  t.strictSame(await rotatedAt(), before, 'the replay did not start the grace again');
  await passGrace(fixture, first);
  t.equal((await refresh(app, first)).statusCode, 401);
});

test('A21 a token two rotations old is a replay even within seconds', async (t) => {
  const { app } = await startAuth(t);
  const first = await createAccount(app);
  const second = (await refresh(app, first.refresh)).json<TokenResponse>();
  const third = (await refresh(app, second.refresh)).json<TokenResponse>();
  t.equal((await refresh(app, first.refresh)).statusCode, 401);
  t.equal((await refresh(app, third.refresh)).statusCode, 401, 'and the session is over');
});

test('A22 refreshes and replays racing a revocation leave no live token', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const rounds = 60;
  for (let round = 0; round < rounds; round += 1) {
    const first = await createAccount(app);
    const second = (await refresh(app, first.refresh)).json<TokenResponse>();
    if (round % 2 === 0) await passGrace(fixture, first.refresh);
    // Even rounds: the replay that kills the session races the successor's refreshes. Odd: a logout does.
    const kill =
      round % 2 === 0
        ? refresh(app, first.refresh)
        : post(app, '/api/logout/', { refresh: second.refresh });
    const racers = Array.from({ length: 4 }, () => refresh(app, second.refresh));
    const answers = await Promise.all([...racers.slice(0, round % 4), kill, ...racers.slice(round % 4)]);
    const tokens = answers
      .filter((answer) => answer.statusCode === 200)
      .map((answer) => answer.json<TokenResponse>().refresh);
    for (const token of [first.refresh, second.refresh, ...tokens]) {
      const answer = await refresh(app, token);
      if (answer.statusCode !== 401) t.fail(`round ${round}: a token outlived its session: ${answer.body}`);
    }
  }
  const [live] = await database.query<{ count: number }>(
    'select count(*)::int as count from sessions where revoked_at is null',
  );
  t.equal(live?.count, 0, `${rounds} races, no live session left`);
});

test('A24 an idle session and an old one end, and refreshing never passes the absolute limit', async (t) => {
  const { app, database } = await startAuth(t);
  const idle = await createAccount(app);
  await database.query(`update sessions set idle_expires_at = now() - interval '1 second' where id = $1`, [
    sessionIdOf(idle.refresh),
  ]);
  t.equal((await refresh(app, idle.refresh)).statusCode, 401, 'idle');

  const old = await createAccount(app);
  await database.query(`update sessions set expires_at = now() + interval '1 hour' where id = $1`, [
    sessionIdOf(old.refresh),
  ]);
  const renewed = (await refresh(app, old.refresh)).json<TokenResponse>();
  t.ok(renewed.refresh_expires_in <= 3600 && renewed.refresh_expires_in > 3500, 'the last hour is not seven days');
  const [row] = await database.query<{ slid: boolean }>(
    'select idle_expires_at <= expires_at as slid from sessions where id = $1',
    [sessionIdOf(old.refresh)],
  );
  t.equal(row?.slid, true);
  await database.query(`update sessions set expires_at = now() - interval '1 second' where id = $1`, [
    sessionIdOf(old.refresh),
  ]);
  t.equal((await refresh(app, renewed.refresh)).statusCode, 401, 'absolute');
});

test('A19 a refresh token that is not ours is refused and ends nothing', async (t) => {
  const { app } = await startAuth(t);
  const { refresh: token, access } = await createAccount(app);
  const [, sessionId, , mac = ''] = token.split('.');
  const forged = [
    '',
    'v1',
    access,
    `v1.${sessionId}.1.${mac}`,
    `v1.${sessionId}.0.${mac.slice(0, -1)}`,
    `v1.${sessionId}.00.${mac}`,
    `v1.${sessionId}.-1.${mac}`,
    `v1.${sessionId}.99999999999.${mac}`,
    `v2.${sessionId}.0.${mac}`,
    `${token}.`,
    ` ${token}`,
    token.toUpperCase(),
  ];
  for (const value of forged) {
    const { statusCode } = await refresh(app, value);
    t.ok(statusCode === 401 || (value === '' && statusCode === 400), `${value.slice(0, 20)} → ${statusCode}`);
  }
  t.equal((await refresh(app, token)).statusCode, 200, 'the real one still works');
});
