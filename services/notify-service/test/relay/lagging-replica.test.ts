// If this breaks: in a NATS cluster a node that starts believes a copy of the stream that is behind, lets in whom a
// logout has shut out, and tells those who come back that they missed nothing.
import { EVENTS_STREAM_NAME, sessionRevoked } from '@infrasignal/shared';
import { startTestNatsCluster, TokenIssuer, waitFor, type TestNatsCluster, type TestNatsNode } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { EventPublisher } from '../support/event-publisher.ts';
import { LaggingRoutes } from '../support/lagging-routes.ts';
import { listenNotify, waitForReady } from '../support/notify.ts';
import { connectSocket, expectRefusal } from '../support/socket-client.ts';

const USERS = [1, 2, 3, 4, 5];

/** The broker puts each consumer on any of three copies: so many starts leave hardly one that never met the slow one. */
const STARTS = 3;

/** A start tries another copy whenever it met the slow one. */
const READY_TIMEOUT_MS = 60_000;

t.setTimeout(300_000);

/** The last position that a node's own copy of the stream has. */
async function readEndAt({ monitorPort }: TestNatsNode): Promise<number | undefined> {
  const response = await fetch(`http://127.0.0.1:${monitorPort}/jsz?streams=true`);
  const { account_details: accounts = [] } = (await response.json()) as {
    account_details?: { stream_detail: { name: string; state: { last_seq: number } }[] }[];
  };
  return accounts[0]?.stream_detail.find(({ name }) => name === EVENTS_STREAM_NAME)?.state.last_seq;
}

async function keepOneBehind(cluster: TestNatsCluster, routes: LaggingRoutes): Promise<TestNatsNode> {
  const leader = await waitFor(() => cluster.findStreamLeader(EVENTS_STREAM_NAME));
  const slow = cluster.nodes.find((node) => node !== leader);
  if (slow === undefined) throw new Error('a cluster has more than one node');
  const connection = await connect({ servers: leader.url });
  const manager = await jetstreamManager(connection);
  const { cluster: copies } = await manager.streams.info(EVENTS_STREAM_NAME);
  await connection.close();
  if (copies?.raft_group === undefined) throw new Error('the stream has no copies');
  routes.keepBehind(slow.name, copies.raft_group);
  return slow;
}

t.test('R7 R4 F16 a node that starts beside a lagging copy of the stream knows everything all the same', async (t) => {
  const routes = new LaggingRoutes(t);
  const cluster = await startTestNatsCluster(t, { interposeRoutes: (port) => routes.interpose(port) });
  const publisher = await EventPublisher.start(t, cluster.url, 3);
  const issuer = await TokenIssuer.start(t);
  const revoked = USERS.map((userId) => ({ userId, sid: randomUUID() }));
  for (const userId of USERS) await publisher.publish(userId);
  await publisher.broadcast();
  const last = USERS.length + 1;
  const areAll = async (end: number): Promise<boolean> =>
    (await Promise.all(cluster.nodes.map(readEndAt))).every((there) => there === end);
  await waitFor(() => areAll(last), { description: 'every copy to be whole' });

  const slow = await keepOneBehind(cluster, routes);
  for (const { userId, sid } of revoked) {
    const data = { user_id: userId, session_ids: [sid], reason: 'logout' };
    await publisher.publish(userId, { type: sessionRevoked.type, data });
  }
  await publisher.broadcast();
  t.equal(await readEndAt(slow), last, 'one copy does not have the newest events');

  for (let start = 1; start <= STARTS; start += 1) {
    const world = { nats: slow, publisher, issuer };
    const NATS_URL = start % 2 === 0 ? slow.url : cluster.url;
    const { app, url } = await listenNotify(t, world, { NATS_URL });
    await waitForReady(url, READY_TIMEOUT_MS);
    const refusals = await Promise.all(
      revoked.map(({ userId, sid }) => expectRefusal(url, { token: issuer.token(userId, { claims: { sid } }) })),
    );
    t.ok(refusals.every(({ status }) => status === 401), `start ${start}: every ended session is refused`);
    for (const userId of USERS) {
      const socket = await connectSocket(url, { token: issuer.token(userId), after: '1' });
      t.equal(socket.connected.recovered, true);
      await socket.waitForNotifications(1);
      t.equal(socket.notifications[0]?.seq, 2, `start ${start}: user ${userId} gets what was missed`);
      socket.close();
    }
    const page = await fetch(`${url}/api/notifications/`, { headers: { authorization: `Bearer ${issuer.token(5)}` } });
    const { notifications } = (await page.json()) as { notifications: unknown[] };
    t.equal(notifications.length, 4, `start ${start}: the history is whole, with what was for everybody`);
    await app.close();
  }

  routes.letCatchUp();
  await waitFor(() => areAll(2 * last), { description: 'the copy to catch up' });
});
