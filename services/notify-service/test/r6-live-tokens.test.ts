/**
 * If this breaks: everybody is cut off every few minutes, although their client has a fresh token at hand; or a socket
 * goes on hearing what its owner may no longer hear, or becomes somebody else's.
 */
import { sessionRevoked } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { frame, RawClient } from './support/raw-client.ts';
import { connectSocket, type Received, type SocketClient } from './support/socket-client.ts';

/** A node goes by the time of whoever signs, which it knows from a header that tells whole seconds. */
const DATE_STEP_MS = 1_000;

function authFrame(access: string): string {
  return JSON.stringify({ type: 'auth', access });
}

/** Sends `auth` and gives what is answered. */
async function authenticate(client: SocketClient, access: string): Promise<Received> {
  const count = client.frames.length;
  client.socket.send(authFrame(access));
  const isAnswer = ({ type }: Received): boolean => type === 'authenticated' || type === 'error';
  return waitFor(() => client.frames.slice(count).find(isAnswer), { description: 'an answer to auth' });
}

t.test('R6 a socket outlives its token', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world);
  const sid = randomUUID();
  const token = (lifeSeconds: number): string => world.issuer.token(1, { claims: { sid }, lifeSeconds });
  // Together, and of tokens with time to spare: `exp` is in whole seconds, and so is the time that a node goes by.
  const [socket, neglected, plain, lasting] = await Promise.all([
    connectSocket(url, { token: token(6) }),
    connectSocket(url, { token: token(6) }),
    connectSocket(url, { token: token(6), isV1: false }),
    connectSocket(url, { token: token(300) }),
  ]);

  await waitFor(() => socket.frames.some(({ type }) => type === 'token_expiring'));
  t.same(socket.frames.map(({ type }) => type), ['connected', 'token_expiring'], 'told, after the greeting');
  t.equal(socket.frames[1]?.expires_at, socket.connected.expires_at);
  t.notOk(lasting.frames.some(({ type }) => type === 'token_expiring'), 'not while there is time');

  const fresh = token(10);
  const answer = await authenticate(socket, fresh);
  const claims = JSON.parse(Buffer.from(fresh.split('.')[1] ?? '', 'base64url').toString('utf8')) as { exp: number };
  t.match(answer, { type: 'authenticated', expires_at: new Date(claims.exp * 1_000).toISOString(), ticket: String });
  t.match(await neglected.waitForClose(), { code: 4401, reason: 'token_expired' }, 'who does not answer is closed');
  t.match(await plain.waitForClose(), { code: 4401 }, 'and who cannot');
  t.same(plain.frames, [], 'old clients are told nothing that they do not know');
  await world.publisher.publish(1);
  await socket.waitForNotifications(1);
  t.equal(socket.closed, null, 'who did goes on');
  t.match(await socket.waitForClose(), { code: 4401 }, 'until the new token expires');
  t.ok(Date.now() > claims.exp * 1_000 - DATE_STEP_MS, 'not before');
  t.equal(app.gatewayStats.renewals.get('renewed'), 1);
  t.equal(lasting.closed, null);
  lasting.close();
});

t.test('R6 what `auth` may not do', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { DEBUG: 'true' });
  const { issuer } = world;
  const sid = randomUUID();
  const scope = 'notifications:all';
  const connect = (claims: Record<string, unknown> = {}): Promise<SocketClient> =>
    connectSocket(url, { token: issuer.token(1, { claims: { sid, ...claims } }) });

  const refused: Record<string, { access: string; code: string; retryable: boolean }> = {
    'another user': { access: issuer.token(2, { claims: { sid } }), code: 'identity_mismatch', retryable: false },
    'another session': { access: issuer.token(1), code: 'identity_mismatch', retryable: false },
    expired: { access: issuer.token(1, { claims: { sid }, lifeSeconds: -1 }), code: 'invalid_token', retryable: true },
    'a refresh token': {
      access: issuer.token(1, { claims: { sid, token_type: 'refresh' } }),
      code: 'invalid_token',
      retryable: true,
    },
    'no token': { access: 'x', code: 'invalid_token', retryable: true },
  };
  for (const [what, { access, ...error }] of Object.entries(refused)) {
    await t.test(`R6 ${what} → ${error.code}, and the socket stays what it was`, async (t) => {
      const socket = await connect();
      t.strictSame(await authenticate(socket, access), { type: 'error', ...error });
      await Promise.all([world.publisher.publish(1), world.publisher.publish(2)]);
      const notifications = await socket.waitForNotifications(1);
      t.ok(notifications.every(({ user_id }) => user_id === 1));
      t.equal(socket.closed, null);
      socket.close();
    });
  }

  await t.test('R6 the public feed has nobody to be', async (t) => {
    const socket = await connectSocket(url, {});
    t.match(await authenticate(socket, issuer.token(1)), { type: 'error', code: 'identity_mismatch' });
    t.equal(socket.connected.ticket, undefined);
    socket.close();
  });

  await t.test('R6 a wider scope widens nothing', async (t) => {
    const socket = await connect();
    const answer = await authenticate(socket, issuer.token(1, { claims: { sid, scope } }));
    t.equal(answer.type, 'authenticated');
    await world.publisher.publish(2);
    await world.publisher.publish(1);
    const notifications = await socket.waitForNotifications(1);
    t.same(notifications.map(({ user_id }) => user_id), [1]);
    socket.close();
  });

  await t.test('R6 a narrower scope ends a feed of everything → 4402', async (t) => {
    const socket = await connect({ scope });
    socket.socket.send(authFrame(issuer.token(1, { claims: { sid } })));
    t.match(await socket.waitForClose(), { code: 4402, reason: 'scope_reduced' });
  });

  await t.test('R6 an older token takes nothing away', async (t) => {
    const socket = await connect();
    const answer = await authenticate(socket, issuer.token(1, { claims: { sid }, lifeSeconds: 100 }));
    t.match(answer, { type: 'authenticated', expires_at: socket.connected.expires_at });
    socket.close();
  });

  await t.test('R6 `auth` in the first packet: the greeting still comes first', async (t) => {
    const token = issuer.token(1, { claims: { sid } });
    const client = await RawClient.open(url, token, { behind: frame(authFrame(token)) });
    await waitFor(() => client.messages.length === 2);
    t.same(client.messages.map(({ type }) => type), ['connected', 'authenticated']);
    client.socket.destroy();
  });

  await t.test('R6 a flood of tokens is not looked at', async (t) => {
    const socket = await connect();
    const before = app.gatewayStats.renewals.get('invalid_token') ?? 0;
    for (let sent = 0; sent < 15; sent += 1) socket.socket.send(authFrame('x'));
    await waitFor(() => socket.frames.filter(({ type }) => type === 'error').length === 15);
    t.ok((app.gatewayStats.renewals.get('invalid_token') ?? 0) - before <= 5, 'five at once, at most');
    t.ok(socket.frames.filter(({ code }) => code === 'too_many_renewals').length >= 10, 'and it is told so');
    t.equal(socket.closed, null);
    socket.close();
  });

  await t.test('R6 malformed → 4500', async (t) => {
    for (const text of ['{"type":"auth"}', '{"type":"auth","access":1}', authFrame(''), authFrame('x'.repeat(4_097))]) {
      const socket = await connect();
      socket.socket.send(text);
      t.match(await socket.waitForClose(), { code: 4500 });
    }
  });

  const endSession = (sessionId: string): Promise<unknown> =>
    world.publisher.publish(1, {
      type: sessionRevoked.type,
      data: { user_id: 1, session_ids: [sessionId], reason: 'logout' },
    });

  await t.test('R6 R7 a session that ends while its token is being checked is not renewed → 4501', async (t) => {
    const socket = await connect();
    const renewed = app.gatewayStats.renewals.get('renewed');
    let answer = (): void => undefined;
    issuer.answersAfter = new Promise((resolve) => (answer = resolve));
    issuer.rotate();
    const requests = issuer.requests;
    socket.socket.send(authFrame(issuer.token(1, { claims: { sid } })));
    await waitFor(() => issuer.requests > requests, { description: 'the check to want the new key' });
    await endSession(sid);
    t.match(await socket.waitForClose(), { code: 4501 });
    answer();
    const other = await connectSocket(url, { token: issuer.token(1) });
    t.equal(app.gatewayStats.renewals.get('renewed'), renewed, 'nor after its end, when the key is there');
    other.close();
  });

  await t.test('R6 R7 a token sent right behind the end of its session saves no socket → 4501', async (t) => {
    const otherSid = randomUUID();
    const token = (): string => issuer.token(1, { claims: { sid: otherSid } });
    const socket = await connectSocket(url, { token: token() });
    await endSession(otherSid);
    // Its node may hear of the end a moment later than of the token, and say `authenticated` in between.
    socket.socket.send(authFrame(token()));
    t.match(await socket.waitForClose(), { code: 4501 });
  });
});
