/**
 * If this breaks: sockets of clients that are long gone pile up, or good ones are cut off by proxies for being idle.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { RawClient } from './support/raw-client.ts';
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

t.test('R9 1,000 clients that vanish without a word are gone, and cost nothing any more', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { PING_INTERVAL_SECONDS: '2', PONG_TIMEOUT_SECONDS: '2' });
  const token = world.issuer.token(1);
  const staying = await connectSocket(url, { token });
  const vanished: RawClient[] = [];
  while (vanished.length < 1_000) {
    vanished.push(...(await Promise.all(Array.from({ length: 50 }, () => RawClient.open(url, token)))));
    // Nothing they do is seen by the node from here on: neither an answer nor an end.
    for (const { socket } of vanished.slice(-50)) socket.pause();
  }
  t.equal(app.hub.stats.opened, 1_001);
  // Interval, answer and grace: 25 + 10 + 3 s with the settings of production, and the wheel's half second on each.
  await waitFor(() => app.hub.size === 1, { description: 'the vanished to be gone' });
  t.equal(app.hub.stats.closesByCode.get(4009), 1_000);
  await world.publisher.publish(1);
  await staying.waitForNotifications(1);
  t.equal(staying.closed, null);
  const connections = await new Promise<number>((resolve, reject) => {
    app.server.getConnections((error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
  t.ok(connections < 50, `${connections} connections are left`);
  for (const { socket } of vanished) socket.destroy();
  staying.close();
});
