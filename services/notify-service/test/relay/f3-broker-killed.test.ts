/**
 * If this breaks: every restart of the broker costs the connected clients notifications, or shows them some twice.
 */
import { waitFor } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createRandom, Load, PersistentClient } from '../support/ledger.ts';
import { startNotify, startWorld, waitForReady } from '../support/notify.ts';
import { connectSocket } from '../support/socket-client.ts';

const USERS = Array.from({ length: 20 }, (_, at) => at + 1);

t.test('F3 SIGKILL of nats-server under load: nothing lost, nothing twice', async (t) => {
  const seed = Date.now() % 1_000_000;
  t.comment(`seed ${seed}`);
  const random = createRandom(seed);
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { DEBUG: 'true' });
  const clients = USERS.map((userId) => new PersistentClient({ url, token: () => world.issuer.token(userId) }));
  t.teardown(() => Promise.all(clients.map((client) => client.stop())));
  await waitFor(() => clients.every(({ greetings }) => greetings.length > 0));
  // Without cursors: what these miss or see twice, nothing repairs.
  const everybody = await connectSocket(url, { isV1: false });
  const plain = await connectSocket(url, { isV1: false, token: world.issuer.token(1) });
  const feed = await connectSocket(url, {});
  const load = new Load(USERS, 20, (userId) => world.publisher.publish(userId));

  const check = async (t: Test): Promise<void> => {
    await load.stop();
    const total = USERS.reduce((sum, userId) => sum + world.publisher.lastSeq(userId), 0);
    await waitFor(() => feed.notifications.length >= total, { description: `${total} events` });
    await waitFor(() => everybody.notifications.length >= total && plain.notifications.length >= world.publisher.lastSeq(1));
    for (const [at, client] of clients.entries()) {
      const lastSeq = world.publisher.lastSeq(USERS[at]!);
      await waitFor(() => client.seqs.length >= lastSeq, { description: 'the last event of a user' });
      t.same(client.complaints(lastSeq), [], `user ${USERS[at]}`);
    }
    t.equal(everybody.notifications.length, total, 'the inherited feed: every event, each once');
    t.equal(plain.notifications.length, world.publisher.lastSeq(1));
    const seen = new Map<number, number>();
    for (const { user_id, seq } of feed.notifications) {
      if (seq !== (seen.get(user_id) ?? 0) + 1) t.fail(`seq ${seq} of user ${user_id} after ${seen.get(user_id)}`);
      seen.set(user_id, seq);
    }
    t.same(clients.flatMap(({ closes }) => closes), [], 'no socket was closed');
    t.same([everybody.closed, plain.closed, feed.closed], [null, null, null]);
    t.comment(`${total} events, consumers ended: ${JSON.stringify([...app.eventConsumer.stats.epochEnds])}`);
  };

  await t.test('F3 20 kills in full flow, down for up to half a second', async () => {
    for (let kills = 0; kills < 20; kills += 1) {
      const before = feed.notifications.length;
      await waitFor(() => feed.notifications.length > before + 10, { intervalMs: 5, description: 'events to flow' });
      await sleep(random() * 100);
      await world.nats.kill();
      await sleep(random() * 500);
      await world.nats.restart();
    }
    await waitForReady(url);
  });

  await t.test('F3 8 kills in a row: events flow again soon after the last start', async (t) => {
    for (let kills = 0; kills < 8; kills += 1) {
      await world.nats.kill();
      await world.nats.restart();
      await sleep(100);
    }
    const startedAt = performance.now();
    const before = feed.notifications.length;
    await waitFor(() => feed.notifications.length > before, { intervalMs: 5, description: 'the next event' });
    t.comment(`first event ${Math.round(performance.now() - startedAt)} ms after the last start`);
    t.pass();
  });

  await t.test('F3 at the end every client has every event once, in order', check);
});
