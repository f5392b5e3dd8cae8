/**
 * If this breaks: sockets of clients that are long gone pile up, or good ones are cut off by proxies for being idle.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket } from './support/socket-client.ts';

t.test('R9 pings, and what happens without an answer', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { PING_INTERVAL_SECONDS: '1', PONG_TIMEOUT_SECONDS: '1' });
  const token = world.issuer.token(1);
  const answering = await connectSocket(url, { token });
  const silent = await connectSocket(url, { token, answersPings: false });
  const plain = await connectSocket(url, { token, isV1: false });
  const plainSilent = await connectSocket(url, { token, isV1: false, options: { autoPong: false } });
  const vanished = await connectSocket(url, { token });
  let protocolPings = 0;
  plain.socket.on('ping', () => (protocolPings += 1));
  vanished.socket.pause();

  await t.test('R9 infrasignal.v1 is pinged in its own way; no answer → 4009', async (t) => {
    t.match(await silent.waitForClose(), { code: 4009, reason: 'pong_timeout' });
    t.ok(silent.frames.some(({ type }) => type === 'ping'));
    await waitFor(() => answering.frames.filter(({ type }) => type === 'ping').length >= 3);
    t.equal(answering.closed, null);
    t.equal(answering.connected.ping_ms, 1_000);
  });

  await t.test('R9 the inherited feed is pinged by the protocol alone', async (t) => {
    t.match(await plainSilent.waitForClose(), { code: 4009 });
    await waitFor(() => protocolPings >= 3);
    t.equal(plain.closed, null);
    t.same(plain.frames, []);
  });

  await t.test('R9 a client that does not even answer the close is dropped', async (t) => {
    await waitFor(() => app.hub.size === 2, { description: 'the dead sockets to be gone' });
    t.equal(app.hub.stats.closesByCode.get(4009), 3);
    vanished.socket.terminate();
  });

  await t.test('R9 a client may ping as well', async (t) => {
    answering.socket.send('{"type":"ping"}');
    await waitFor(() => answering.frames.some(({ type }) => type === 'pong'));
    t.equal(answering.closed, null);
  });
});

t.test('R6 a socket whose token expires is closed 4401, with or without control frames', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  const lasting = await connectSocket(url, { token: world.issuer.token(1) });
  for (const isV1 of [true, false]) {
    const exp = Math.floor(Date.now() / 1_000) + 2;
    const client = await connectSocket(url, { token: world.issuer.token(1, { claims: { exp } }), isV1 });
    t.match(await client.waitForClose(), { code: 4401, reason: 'token_expired' });
    t.ok(Date.now() >= exp * 1_000, 'not before');
  }
  t.equal(lasting.closed, null);
  lasting.close();
});
