/**
 * If this breaks: every crash or deployment of notify-service costs clients notifications, although they come back
 * with their cursor.
 */
import { waitFor } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createRandom, Load, PersistentClient } from './support/ledger.ts';
import { startNotifyProcess, startWorld } from './support/notify.ts';

const USERS = Array.from({ length: 20 }, (_, at) => at + 1);
const KILLS = 20;

/** On a machine that is busy with other things a start takes seconds; the test must end before its time limit. */
const DURATION_MS_MAX = 75_000;

t.test(`F2 SIGKILL of notify-service ×${KILLS} under load: clients resume whole`, async (t) => {
  const seed = Date.now() % 1_000_000;
  t.comment(`seed ${seed}`);
  const random = createRandom(seed);
  const world = await startWorld(t);
  // What the feed of everything misses during a start on a busy machine must still be one resume.
  const node = await startNotifyProcess(t, world, { RESUME_EVENTS_MAX: '10000' });
  const clients = USERS.flatMap((userId) => [1, 2].map(() => ({
    userId,
    client: new PersistentClient({ url: node.url, token: () => world.issuer.token(userId) }),
  })));
  const staff = new PersistentClient({
    url: node.url,
    token: () => world.issuer.token(1, { claims: { scope: 'notifications:all' } }),
  });
  t.teardown(() => Promise.all([staff, ...clients.map(({ client }) => client)].map((client) => client.stop())));
  await waitFor(() => [staff, ...clients.map(({ client }) => client)].every(({ greetings }) => greetings.length > 0));
  const load = new Load(USERS, 400, (userId) => world.publisher.publish(userId));

  const startedAt = performance.now();
  let kills = 0;
  for (; kills < KILLS && performance.now() - startedAt < DURATION_MS_MAX; kills += 1) {
    // At least the busiest client is back; others may be in the middle of their replay.
    const { length } = staff.greetings;
    await sleep(random() * 100);
    await node.kill();
    await node.restart();
    await waitFor(() => staff.greetings.length > length, { intervalMs: 5, timeoutMs: 20_000, description: 'a client to be back' });
  }
  t.comment(`${kills} kills in ${Math.round(performance.now() - startedAt)} ms`);
  await load.stop();
  const total = USERS.reduce((sum, userId) => sum + world.publisher.lastSeq(userId), 0);
  t.same(staff.greetings.filter(({ recovered }) => !recovered), []);
  await waitFor(() => staff.notifications.length >= total, { timeoutMs: 30_000, description: 'the feed of everything' });
  for (const { userId, client } of clients) {
    const lastSeq = world.publisher.lastSeq(userId);
    await waitFor(() => client.seqs.length >= lastSeq, { timeoutMs: 30_000, description: 'the last event of a user' });
    t.same(client.complaints(lastSeq), [], `user ${userId}`);
    t.ok(client.notifications.every(({ user_id }) => user_id === userId));
  }
  t.equal(new Set(staff.notifications.map(({ id }) => id)).size, total, 'every event reached the feed of everything');
  t.equal(staff.notifications.length, total, 'and each once');
  t.ok(clients.some(({ client }) => client.closes.length >= kills / 2), 'the sockets really were cut off');
  t.comment(`${total} events`);
});
