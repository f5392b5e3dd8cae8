/**
 * If this breaks: every deployment costs clients notifications, or sends all of them to the other nodes in one moment.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { Load, PersistentClient } from './support/ledger.ts';
import { startNotifyProcess, startWorld } from './support/notify.ts';
import { connectSocket, expectRefusal, type SocketClient } from './support/socket-client.ts';

const USERS = Array.from({ length: 20 }, (_, at) => at + 1);

t.test('R13 a rolling restart of two nodes, with events flowing: none lost, none twice', async (t) => {
  const world = await startWorld(t);
  const settings = { SHUTDOWN_GRACE_SECONDS: '6', DRAIN_SOCKETS_PER_SECOND: '40', LOG_LEVEL: 'info' };
  const nodes = [await startNotifyProcess(t, world, settings), await startNotifyProcess(t, world, settings)];
  let next = 0;
  // As a load balancer does it: in turn.
  const choose = (): string => nodes[(next += 1) % 2]?.url ?? '';
  const clients = USERS.flatMap((userId) => [1, 2].map(() => ({
    userId,
    client: new PersistentClient({ url: choose, token: () => world.issuer.token(userId) }),
  })));
  t.teardown(() => Promise.all(clients.map(({ client }) => client.stop())));
  await waitFor(() => clients.every(({ client }) => client.greetings.length > 0));
  const load = new Load(USERS, 100, (userId) => world.publisher.publish(userId));
  for (const [at, node] of nodes.entries()) {
    await waitFor(() => clients.every(({ client }) => client.isConnected));
    t.match(await node.stop(), { code: 0 }, `node ${at} ends by itself, within its grace`);
    await node.restart();
  }
  await waitFor(() => clients.every(({ client }) => client.isConnected));
  await load.stop();
  for (const { userId, client } of clients) {
    const lastSeq = world.publisher.lastSeq(userId);
    await waitFor(() => client.seqs.length >= lastSeq, { description: 'the last event of a user' });
    t.same(client.complaints(lastSeq), [], `user ${userId}`);
    t.ok(client.closes.every((code) => [4000, 1006].includes(code)), 'sent away in order, or refused on the way back');
  }
  t.ok(clients.some(({ client }) => client.closes.includes(4000)));
  t.comment(`${load.count} events, ${clients.reduce((sum, { client }) => sum + client.closes.length, 0)} closes`);
});

t.test('R13 at a set pace, those without a cursor last; not ready, and nobody new, from the first moment', async (t) => {
  const world = await startWorld(t);
  // Forty sockets at ten a second: four seconds.
  const settings = { DEBUG: 'true', SHUTDOWN_GRACE_SECONDS: '30', DRAIN_SOCKETS_PER_SECOND: '10', LOG_LEVEL: 'info' };
  const node = await startNotifyProcess(t, world, settings);
  const connect = (isV1: boolean): Promise<SocketClient> => connectSocket(node.url, isV1 ? { token: world.issuer.token(1) } : { isV1 });
  const plain = await Promise.all(Array.from({ length: 10 }, () => connect(false)));
  const v1 = await Promise.all(Array.from({ length: 30 }, () => connect(true)));
  const order: SocketClient[] = [];
  for (const client of [...plain, ...v1]) client.socket.on('close', () => order.push(client));

  const startedAt = performance.now();
  const stopping = node.stop();
  await waitFor(() => order.length > 0, { intervalMs: 2 });
  t.ok(order.length < 40, 'not all at once');
  const waiting = v1.filter(({ closed }) => closed === null);
  await world.publisher.publish(1);
  await Promise.all([...waiting.slice(-5), ...plain].map((client) => client.waitForNotifications(1)));
  t.pass('who has not been sent away yet still hears everything');
  const readiness = await fetch(`${node.url}/readyz`);
  t.equal(readiness.status, 503);
  t.match(await readiness.json(), { failures: { process: 'shutting down' } });
  t.equal((await fetch(`${node.url}/healthz`)).status, 200);
  const refusal = await expectRefusal(node.url, { token: world.issuer.token(1) });
  t.equal(refusal.status, 503);
  t.match(refusal.headers['retry-after'], /^\d+$/);

  t.match(await stopping, { code: 0 });
  t.ok(performance.now() - startedAt > 2_000, 'it took its time');
  await waitFor(() => order.length === 40);
  t.strictSame(order.slice(0, 30).filter((client) => plain.includes(client)), [], 'those without a cursor came last');
  for (const client of v1) {
    t.match(client.closed, { code: 4000, reason: 'going_away' });
    t.match(client.frames.at(-1), { type: 'reconnect', window_ms: Number });
  }
  for (const client of plain) t.match(client.closed, { code: 4000 });
});
