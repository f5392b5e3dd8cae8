/**
 * If this breaks: one account, one machine or one storm of reconnects takes all that a node can do, and everybody
 * else's notifications wait.
 */
import { waitFor } from '@infrasignal/testkit';
import t, { type Test } from 'tap';
import { startNotify, startNotifyProcess, startWorld, type Notify } from './support/notify.ts';
import { connectSocket, expectRefusal, type Refusal, type SocketClient } from './support/socket-client.ts';

function connectMany(url: string, tokens: readonly string[], headers: Record<string, string> = {}): Promise<SocketClient[]> {
  return Promise.all(tokens.map((token) => connectSocket(url, { token, headers })));
}

function times<Item>(count: number, make: (at: number) => Item): Item[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

/** Announcements of other nodes: a node hears its own, too. */
function heardOfOthers({ app }: Notify): number {
  return app.gatewayStats.announcementsHeard - app.gatewayStats.announcementsSent;
}

t.test('R11 sockets per user: 10 by default, the oldest is told and closed', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { SOCKETS_PER_USER_MAX: undefined });
  const token = (): string => world.issuer.token(1);
  const oldest = await connectSocket(url, { token: token() });
  const plain = await connectSocket(url, { token: token(), isV1: false });
  const rest = await connectMany(url, times(8, token));
  const other = await connectSocket(url, { token: world.issuer.token(2) });
  t.equal(app.hub.size, 11);

  const eleventh = await connectSocket(url, { token: token() });
  t.match(await oldest.waitForClose(), { code: 4502, reason: 'too_many_sockets' });
  t.strictSame(oldest.frames.at(-1), { type: 'error', code: 'too_many_sockets', retryable: false });
  const twelfth = await connectSocket(url, { token: token() });
  t.match(await plain.waitForClose(), { code: 4502 });
  t.same(plain.frames, [], 'old clients are told nothing that they do not know');
  t.ok([...rest, other, eleventh, twelfth].every(({ closed }) => closed === null), 'nobody else is closed');

  rest[0]?.close();
  await waitFor(() => app.hub.size === 10);
  const again = await connectSocket(url, { token: token() });
  await world.publisher.publish(1);
  const open = [...rest.slice(1), eleventh, twelfth, again];
  for (const socket of open) await socket.waitForNotifications(1);
  t.equal(open.length, 10, 'what was closed makes room');
});

t.test('R11 sockets per user over two nodes', async (t) => {
  const world = await startWorld(t);
  const changes = { SOCKETS_PER_USER_MAX: '3' };
  const [one, two] = [await startNotify(t, world, changes), await startNotify(t, world, changes)];
  await waitFor(() => [one, two].every((node) => heardOfOthers(node) > 0), { description: 'the nodes to hear each other' });
  const token = (): string => world.issuer.token(1);
  const sockets = [await connectSocket(one.url, { token: token() })];
  sockets.push(await connectSocket(one.url, { token: token() }));
  sockets.push(await connectSocket(two.url, { token: token() }));
  sockets.push(await connectSocket(two.url, { token: token() }));
  t.match(await sockets[0]?.waitForClose(), { code: 4502 }, 'the oldest, which is on the other node');
  t.strictSame(sockets[0]?.frames.at(-1), { type: 'error', code: 'too_many_sockets', retryable: false });

  await t.test('R11 without the broker each node keeps to the limit by itself, and closes nobody for what it cannot know', async (t) => {
    const lone = await connectSocket(one.url, { token: world.issuer.token(9) });
    await world.nats.stop();
    await waitFor(() => [one, two].every(({ app }) => app.broker.connection === null));
    const nobodyIsClosed = (when: string): void => {
      t.ok([...sockets.slice(1), lone].every(({ closed }) => closed === null), when);
    };
    nobodyIsClosed('without the broker');
    await world.nats.restart();
    await waitFor(() => [one, two].every(({ app }) => app.eventConsumer.isReady));
    nobodyIsClosed('nor for its absence, once it is back');
  });
});

t.test('R11 the clients of a killed node, back on another, are not cut off', async (t) => {
  const world = await startWorld(t);
  const changes = { SOCKETS_PER_USER_MAX: '4' };
  const staying = await startNotify(t, world, changes);
  const dying = await startNotifyProcess(t, world, changes);
  const tokens = times(3, () => world.issuer.token(1));
  const here = await connectSocket(staying.url, { token: world.issuer.token(1) });
  const there = await connectMany(dying.url, tokens);
  const heard = heardOfOthers(staying);
  // Two: an echo of its own that was under way counts for one.
  await waitFor(() => heardOfOthers(staying) >= heard + 2, { description: 'the other node’s words' });
  await dying.kill();
  await Promise.all(there.map((socket) => socket.waitForClose()));
  const back = await connectMany(staying.url, tokens);
  // Longer than anything is believed of a node that is silent.
  const until = performance.now() + 5_000;
  await waitFor(() => performance.now() > until);
  t.ok([here, ...back].every(({ closed }) => closed === null));
});

t.test('R11 sockets and handshakes per address', async (t) => {
  const world = await startWorld(t);
  const token = (): string => world.issuer.token(1);
  const forwarded = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });

  await t.test('R11 sockets: at the limit, one above, and again when one is gone', async (t) => {
    const { url, app } = await startNotify(t, world, { SOCKETS_PER_ADDRESS_MAX: '2', TRUST_PROXY: '1' });
    const [first] = await connectMany(url, times(2, token), forwarded('2001:db8:1:2::1'));
    const refusal = await expectRefusal(url, { token: token(), headers: forwarded('2001:db8:1:2:ffff::9') });
    expectRetry(t, refusal, 429, 'too_many_connections');
    (await connectSocket(url, { token: token(), headers: forwarded('2001:db8:1:3::1') })).close();
    (await connectSocket(url, { token: token(), headers: forwarded('192.0.2.1') })).close();
    first?.close();
    await waitFor(() => app.hub.size === 1);
    (await connectSocket(url, { token: token(), headers: forwarded('2001:db8:1:2::3') })).close();
    await waitFor(() => app.hub.size === 1);
    const spoofed = forwarded('192.0.2.77, 2001:db8:1:2::1');
    const still = await connectSocket(url, { token: token(), headers: spoofed });
    t.equal((await expectRefusal(url, { token: token(), headers: spoofed })).status, 429, 'the nearest hop’s word counts');
    still.close();
    t.equal(app.gatewayStats.handshakes.get('too_many_connections'), 2);
  });

  await t.test('R11 without TRUST_PROXY what the client says of its address changes nothing', async (t) => {
    const { url } = await startNotify(t, world, { SOCKETS_PER_ADDRESS_MAX: '1' });
    const socket = await connectSocket(url, { token: token(), headers: forwarded('192.0.2.1') });
    t.equal((await expectRefusal(url, { token: token(), headers: forwarded('192.0.2.2') })).status, 429);
    socket.close();
  });

  await t.test('R11 handshakes in a second', async (t) => {
    const { url } = await startNotify(t, world, { HANDSHAKES_PER_ADDRESS_PER_SECOND_MAX: '5', TRUST_PROXY: '1' });
    const attempts = times(40, () => expectRefusal(url, { token: 'x', headers: forwarded('192.0.2.1') }));
    const refusals = await Promise.all(attempts);
    const limited = refusals.filter(({ status }) => status === 429);
    t.ok(limited.length > 0 && limited.length <= 35, `${limited.length} of 40 were not looked at`);
    for (const refusal of limited) expectRetry(t, refusal, 429, 'too_many_handshakes');
    (await connectSocket(url, { token: token(), headers: forwarded('192.0.2.2') })).close();
  });
});

function expectRetry(t: Test, { status, headers, body }: Refusal, expected: number, code: string): void {
  t.equal(status, expected);
  t.equal(body.code, code);
  const seconds = Number(headers['retry-after']);
  t.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 5, `Retry-After: ${headers['retry-after']}`);
}

t.test('R11 per node', async (t) => {
  const world = await startWorld(t);
  const token = (): string => world.issuer.token(1);

  await t.test('R11 sockets: at the limit, one above, and again when one is gone', async (t) => {
    const { url, app } = await startNotify(t, world, { SOCKETS_MAX: '2' });
    const [first] = await connectMany(url, times(2, token));
    expectRetry(t, await expectRefusal(url, { token: token() }), 503, 'node_full');
    first?.close();
    await waitFor(() => app.hub.size === 1);
    (await connectSocket(url, { token: token() })).close();
  });

  await t.test('R11 handshakes in a second', async (t) => {
    const { url, app } = await startNotify(t, world, { HANDSHAKES_PER_SECOND_MAX: '5' });
    const refusals = await Promise.all(times(40, () => expectRefusal(url, { token: 'x' })));
    const limited = refusals.filter(({ status }) => status === 503);
    t.ok(limited.length > 0 && limited.length <= 35, `${limited.length} of 40 were not looked at`);
    for (const refusal of limited) expectRetry(t, refusal, 503, 'node_busy');
    t.ok(new Set(limited.map(({ headers }) => headers['retry-after'])).size > 1, 'they are not sent back together');
    t.equal(app.gatewayStats.handshakes.get('node_busy'), limited.length);
    await waitFor(() => connectSocket(url, { token: token() }), { description: 'a handshake a second later' });
  });

  await t.test('R11 a node that is behind with its work takes nobody, until it has caught up', async (t) => {
    const { url, app } = await startNotify(t, world, { EVENT_LOOP_DELAY_MS_MAX: '50' });
    const kept = await connectSocket(url, { token: token() });
    const busy = setInterval(() => {
      for (const endMs = performance.now() + 150; performance.now() < endMs; );
    }, 10);
    await waitFor(() => app.eventLoopWatch.delayMs > 50, { description: 'the event loop to be late' });
    expectRetry(t, await expectRefusal(url, { token: token() }), 503, 'node_overloaded');
    clearInterval(busy);
    await waitFor(() => connectSocket(url, { token: token() }), { description: 'the node to have caught up' });
    t.equal(kept.closed, null, 'who is connected stays');
  });

  await t.test('R11 what no handshake is counts for none', async (t) => {
    const { url } = await startNotify(t, world, { HANDSHAKES_PER_SECOND_MAX: '1' });
    for (let asked = 0; asked < 5; asked += 1) t.equal((await fetch(`${url}/ws/notifications/`)).status, 426);
    t.equal((await fetch(`${url}/readyz`)).status, 200);
    (await connectSocket(url, { token: token() })).close();
  });
});
