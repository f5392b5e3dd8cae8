/**
 * If this breaks: somebody without a right to it opens a socket, a page of another site listens with its visitor's
 * rights, or access tokens can be read in the log.
 */
import { startTestNats, waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { EventPublisher } from './support/event-publisher.ts';
import { listenNotify, startNotify, startNotifyProcess, startWorld, waitForReady } from './support/notify.ts';
import { connectSocket, expectRefusal, type ConnectOptions } from './support/socket-client.ts';
import { TokenIssuer } from '@infrasignal/testkit';

t.test('R3 a handshake is refused before the upgrade', async (t) => {
  const world = await startWorld(t);
  const { issuer } = world;
  const nodes = { strict: await startNotify(t, world), debug: await startNotify(t, world, { DEBUG: 'true' }) };
  const stranger = await TokenIssuer.start(t);
  const valid = issuer.token(1);
  const [header, payload, signature] = valid.split('.') as [string, string, string];
  const unsigned = (change: object): string => Buffer.from(JSON.stringify(change)).toString('base64url');

  const badTokens: Record<string, string> = {
    expired: issuer.token(1, { lifeSeconds: -1 }),
    'of the refresh type': issuer.token(1, { claims: { token_type: 'refresh' } }),
    'with the typ of another kind': issuer.token(1, { header: { typ: 'JWT' } }),
    'without typ': issuer.token(1, { header: { typ: undefined } }),
    'of another issuer': issuer.token(1, { claims: { iss: 'somebody' } }),
    'for another audience': issuer.token(1, { claims: { aud: 'somebody' } }),
    'not valid yet': issuer.token(1, { claims: { nbf: Math.floor(Date.now() / 1000) + 60 } }),
    'with exp as text': issuer.token(1, { claims: { exp: '9999999999' } }),
    'with a negative exp': issuer.token(1, { claims: { exp: -1 } }),
    'without exp': issuer.token(1, { claims: { exp: undefined } }),
    'without sid': issuer.token(1, { claims: { sid: undefined } }),
    'whose sub is not its user_id': issuer.token(1, { claims: { sub: '2' } }),
    'signed by somebody else': stranger.token(1),
    'of an unknown kid': issuer.token(1, { header: { kid: 'nobody' } }),
    'without kid': issuer.token(1, { header: { kid: undefined } }),
    'with a jku': issuer.token(1, { header: { jku: stranger.url } }),
    'with a jwk': issuer.token(1, { header: { jwk: {} } }),
    'with an unknown crit': issuer.token(1, { header: { crit: ['b64'], b64: true } }),
    'with alg none': `${unsigned({ alg: 'none', typ: 'at+jwt', kid: 'key-1' })}.${payload}.`,
    'with alg nOnE': `${unsigned({ alg: 'nOnE', typ: 'at+jwt', kid: 'key-1' })}.${payload}.`,
    'with alg HS256': `${unsigned({ alg: 'HS256', typ: 'at+jwt', kid: 'key-1' })}.${payload}.${signature}`,
    'without a signature': `${header}.${payload}.`,
    'with a changed payload': `${header}.${unsigned({ user_id: 2 })}.${signature}`,
    'of 64 KB': `${header}.${'A'.repeat(8_192)}.${signature}`,
    'that is no token': 'not-a-token',
  };
  for (const [what, token] of Object.entries(badTokens)) {
    for (const [name, { url }] of Object.entries(nodes)) {
      await t.test(`R3 a token ${what} (${name}) → 401`, async (t) => {
        const ways: ConnectOptions[] = [{ token }, { protocols: ['infrasignal.v1', `bearer.${token}`] }];
        for (const way of ways) {
          const { status, headers, body } = await expectRefusal(url, way);
          t.equal(status, 401);
          t.equal(headers['www-authenticate'], 'Bearer error="invalid_token"');
          t.match(headers['content-type'], 'application/problem+json');
          t.match(body, { code: 'invalid_token', type: 'urn:infrasignal:error:invalid_token' });
        }
      });
    }
  }

  await t.test('R3 a token in the query string → 400, also a valid one, also with a good one in the header', async (t) => {
    for (const name of ['access_token', 'token', 'access', 'jwt', 'bearer', 'Token', 'ACCESS_TOKEN']) {
      for (const { url } of Object.values(nodes)) {
        const { status, body } = await expectRefusal(url, { token: valid, path: `/ws/notifications/?${name}=${valid}` });
        t.equal(status, 400);
        t.equal(body.code, 'token_in_query');
        t.notMatch(JSON.stringify(body), valid);
      }
    }
  });

  await t.test('R3 an Origin that is not on the list → 403, `null` included, with and without a cookie', async (t) => {
    for (const origin of ['https://evil.example', 'null', 'http://localhost:8000.evil.example', 'http://localhost:8001']) {
      for (const cookie of ['', 'access=abc']) {
        const headers = { origin, ...(cookie === '' ? {} : { cookie }) };
        const { status, body } = await expectRefusal(nodes.strict.url, { token: valid, headers });
        t.equal(status, 403);
        t.equal(body.code, 'forbidden_origin');
        t.equal((await expectRefusal(nodes.debug.url, { token: valid, headers })).status, 403, 'DEBUG opens nothing else');
      }
    }
    for (const origin of ['http://localhost:8000', 'http://127.0.0.1:8000']) {
      (await connectSocket(nodes.strict.url, { token: valid, headers: { origin } })).close();
    }
  });

  await t.test('R3 a cookie alone authenticates nobody', async (t) => {
    for (const name of ['access', 'access_token', 'sessionid', '__Host-access']) {
      const headers = { cookie: `${name}=${valid}`, origin: 'http://localhost:8000' };
      t.equal((await expectRefusal(nodes.strict.url, { headers })).status, 401);
    }
  });

  await t.test('R3 malformed credentials → 401 or 400, never a socket', async (t) => {
    const { url } = nodes.debug;
    for (const authorization of ['', 'Bearer', 'Bearer ', 'Basic YTpi', `Bearer ${valid} ${valid}`, valid]) {
      t.equal((await expectRefusal(url, { headers: { authorization } })).status, 401, JSON.stringify(authorization));
    }
    const two = ['infrasignal.v1', `bearer.${valid}`, `bearer.${issuer.token(2)}`];
    t.equal((await expectRefusal(url, { protocols: two })).status, 400, 'two tokens as subprotocols');
    const other = ['infrasignal.v1', `bearer.${issuer.token(2)}`];
    t.equal((await expectRefusal(url, { token: valid, protocols: other })).status, 401, 'two different tokens');
    t.equal((await expectRefusal(url, { protocols: [`bearer.${valid}`] })).status, 400, 'nothing to answer with');
  });

  await t.test('R3 a token as second subprotocol is accepted, and is not what is answered', async (t) => {
    for (const protocols of [['infrasignal.v1', `bearer.${valid}`], [`bearer.${valid}`, 'infrasignal.v1']]) {
      const client = await connectSocket(nodes.strict.url, { protocols });
      t.equal(client.socket.protocol, 'infrasignal.v1');
      t.equal(client.connected.user_id, 1);
      client.close();
    }
  });

  await t.test('R3 no WebSocket handshake: 426 or 400 as problem+json', async (t) => {
    for (const path of ['/ws/notifications', '/ws/notifications/']) {
      const response = await fetch(nodes.strict.url + path);
      t.equal(response.status, 426);
      t.equal(response.headers.get('upgrade'), 'websocket');
      t.match(await response.json(), { code: 'upgrade_required', instance: path });
      t.equal((await fetch(nodes.strict.url + path, { method: 'POST' })).status, 405);
    }
    t.equal((await expectRefusal(nodes.strict.url, { path: '/ws/other' })).status, 404);
    const old = await expectRefusal(nodes.strict.url, { token: valid, options: { protocolVersion: 8 } });
    t.equal(old.status, 426);
    t.equal(old.headers['sec-websocket-version'], '13');
  });
});

t.test('R3 not ready → 503 with Retry-After, and /readyz says why', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  const token = world.issuer.token(1);
  const kept = await connectSocket(url, { token });
  await world.nats.stop();
  const { status, headers, body } = await expectRefusal(url, { token });
  t.equal(status, 503);
  t.match(headers['retry-after'], /^\d+$/);
  t.equal(body.code, 'service_unavailable');
  t.match(await (await fetch(`${url}/readyz`)).json(), { status: 'not_ready', failures: { events: String } });
  t.equal((await fetch(`${url}/healthz`)).status, 200);
  t.equal(kept.closed, null, 'open sockets are kept');
  kept.close();
});

t.test('R3 without ever having had the keys: 503 for a token, until they are there', async (t) => {
  const world = await startWorld(t);
  await world.issuer.close();
  const { url } = await listenNotify(t, world, { DEBUG: 'true' });
  const token = world.issuer.token(1);
  const anonymous = await waitFor(() => connectSocket(url, { isV1: false }), { description: 'the public feed, which needs no key' });
  anonymous.close();
  const { status, headers } = await expectRefusal(url, { token });
  t.equal(status, 503);
  t.match(headers['retry-after'], /^\d+$/);
  t.match(await (await fetch(`${url}/readyz`)).json(), { status: 'not_ready', failures: { keys: String } });
  await world.issuer.listen();
  await waitForReady(url);
  (await connectSocket(url, { token })).close();
});

t.test('R3 before the stream exists, nobody is accepted', async (t) => {
  const nats = await startTestNats(t);
  const issuer = await TokenIssuer.start(t);
  const { url } = await listenNotify(t, { nats, issuer }, { DEBUG: 'true' });
  t.equal((await expectRefusal(url, { isV1: false })).status, 503);
  t.equal((await expectRefusal(url, { token: issuer.token(1) })).status, 503);
  await EventPublisher.start(t, nats.url);
  await waitForReady(url);
  (await connectSocket(url, { token: issuer.token(1) })).close();
});

t.test('R3 tokens never reach a log', async (t) => {
  const world = await startWorld(t);
  const node = await startNotifyProcess(t, world, { LOG_LEVEL: 'trace' });
  const tokens = [world.issuer.token(1), world.issuer.token(2, { lifeSeconds: -5 }), world.issuer.token(3)];
  const [valid, expired, third] = tokens as [string, string, string];
  const client = await connectSocket(node.url, { token: valid });
  const browser = await connectSocket(node.url, { protocols: ['infrasignal.v1', `bearer.${third}`] });
  const ticket = client.connected.ticket ?? '';
  const again = await connectSocket(node.url, { protocols: ['infrasignal.v1', `bearer.${valid}`, `ticket.${ticket}`] });
  again.socket.send(JSON.stringify({ type: 'auth', access: third }));
  again.close();
  await expectRefusal(node.url, { token: expired });
  await expectRefusal(node.url, { protocols: ['infrasignal.v1', `bearer.${expired}`] });
  await expectRefusal(node.url, { path: `/ws/notifications/?access_token=${valid}` });
  await fetch(`${node.url}/ws/notifications/?token=${valid}`, { headers: { authorization: `Bearer ${valid}` } });
  await fetch(`${node.url}/nowhere/?token=${valid}`);
  client.socket.send('not json');
  await client.waitForClose();
  browser.close();
  await browser.waitForClose();
  await node.stop();
  const log = node.logs();
  t.ok(log.length > 0);
  t.ok(ticket.length > 40 && !log.includes(ticket), 'nor do tickets');
  for (const token of tokens) {
    for (const part of token.split('.').slice(1)) t.notOk(log.includes(part), 'neither claims nor signature');
  }
});
