/**
 * If this breaks: after the broker's disk was restored from an older copy, or lost, positions of the log are handed out
 * again, and a node that trusts them passes over new events in silence, or sends old ones a second time.
 */
import { startTestNats, waitFor, type TestNats } from '@infrasignal/testkit';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EVENTS_STREAM_NAME } from '@infrasignal/shared';
import { jetstreamManager } from '@nats-io/jetstream';
import { createEventsStream, deleteEventsStream, EventPublisher, type PublishedEvent } from '../support/event-publisher.ts';
import { startNotify, startWorld, waitForReady, type Notify, type World } from '../support/notify.ts';
import { connectSocket, type SocketClient } from '../support/socket-client.ts';

const STORE = 'jetstream';

function copyStore(from: string, to: string): void {
  rmSync(join(to, STORE), { recursive: true, force: true });
  cpSync(join(from, STORE), join(to, STORE), { recursive: true });
}

interface Scene extends World, Notify {
  readonly own: SocketClient;
  readonly plain: SocketClient;
  readonly everybody: SocketClient;
  readonly feed: SocketClient;
  /** A copy of the store as it was at the start of the scene. */
  readonly copy: string;
}

/** Users 1 and 2 have five events each when the store is copied. */
async function setScene(t: Test): Promise<Scene> {
  const world = await startWorld(t);
  const notify = await startNotify(t, world, { DEBUG: 'true' });
  const { publisher, issuer, nats } = world;
  const { url } = notify;
  const own = await connectSocket(url, { token: issuer.token(1) });
  const plain = await connectSocket(url, { token: issuer.token(1), isV1: false });
  const everybody = await connectSocket(url, { isV1: false });
  const feed = await connectSocket(url, {});
  await publisher.publishMany(1, 5);
  await publisher.publishMany(2, 5);
  await feed.waitForNotifications(10);
  const copy = mkdtempSync(join(tmpdir(), 'infrasignal-store-'));
  t.teardown(() => {
    rmSync(copy, { recursive: true, force: true });
  });
  mkdirSync(join(copy, STORE), { recursive: true });
  await nats.stop();
  copyStore(nats.storeDirectory, copy);
  await nats.restart();
  await waitForReady(url);
  return { ...world, ...notify, own, plain, everybody, feed, copy };
}

/** What the outbox relay does when it finds the broker changed: the last minutes' events once more. */
async function publishAgain(publisher: EventPublisher, events: readonly PublishedEvent[]): Promise<void> {
  for (const { userId, seq, id } of events) await publisher.publish(userId, { seq, id });
}

/** Every socket has every event of its user once, in order, and none was closed. */
async function checkWhole(t: Test, { own, plain, everybody, feed, publisher }: Scene, users: readonly number[]): Promise<void> {
  const total = users.reduce((sum, userId) => sum + publisher.lastSeq(userId), 0);
  await waitFor(() => feed.notifications.length >= total && everybody.notifications.length >= total, {
    description: `${total} events on the feed of everything`,
  });
  await waitFor(() => own.seqs.at(-1) === publisher.lastSeq(1), { description: 'the last event of user 1' });
  await waitFor(() => plain.notifications.length >= publisher.lastSeq(1));
  const expected = Array.from({ length: publisher.lastSeq(1) }, (_, at) => at + 1);
  t.same(own.seqs, expected);
  t.equal(plain.notifications.length, expected.length);
  for (const userId of users) {
    const seqs = feed.notifications.filter(({ user_id }) => user_id === userId).map(({ seq }) => seq);
    t.same(seqs, Array.from({ length: publisher.lastSeq(userId) }, (_, at) => at + 1), `user ${userId}`);
  }
  t.equal(everybody.notifications.length, total);
  t.same([own.closed, plain.closed, everybody.closed, feed.closed], [null, null, null, null]);
}

t.test('I2 an older copy of the store, then other events at the positions that were read', async (t) => {
  const scene = await setScene(t);
  const { nats, publisher, own, url, issuer } = scene;
  const tail = [...(await publisher.publishMany(1, 3)), ...(await publisher.publishMany(2, 2))];
  await own.waitForNotifications(8);
  const before = { cursor: own.cursor, feed: scene.feed.cursor };
  await nats.stop();
  copyStore(scene.copy, nats.storeDirectory);
  await nats.restart();
  await publisher.publishMany(3, 4);
  await publishAgain(publisher, tail);
  await publisher.publishMany(1, 2);
  await publisher.publishMany(3, 1);
  await checkWhole(t, scene, [1, 2, 3]);
  const resumed = await connectSocket(url, { token: issuer.token(1), after: before.cursor });
  t.match(resumed.connected, { recovered: true, seq: 8 }, 'a cursor of one’s own events outlives it: seq is the truth');
  await resumed.waitForNotifications(2);
  t.same(resumed.seqs, [9, 10]);
  const staff = await connectSocket(url, { after: before.feed });
  t.match(staff.connected, { recovered: false, reason: 'unknown_cursor' }, 'a place in the old log is none in the new');
  t.equal(scene.app.eventConsumer.stats.recoveries, 1);
});

t.test('I2 an older copy, and by the time the node looks the log is longer than it was', async (t) => {
  const scene = await setScene(t);
  const { nats, publisher, own } = scene;
  const tail = await publisher.publishMany(1, 4);
  await own.waitForNotifications(9);
  // The trap: another broker grows the copy past the position that was read, before this one is back.
  const elsewhere: TestNats = await startTestNats(t);
  await Promise.all([nats.stop(), elsewhere.stop()]);
  copyStore(scene.copy, elsewhere.storeDirectory);
  await elsewhere.restart();
  const others = await EventPublisher.start(t, elsewhere.url);
  await others.publishMany(3, 20);
  for (let at = 0; at < 20; at += 1) publisher.envelope(3);
  await publishAgain(others, tail);
  await elsewhere.stop();
  copyStore(elsewhere.storeDirectory, nats.storeDirectory);
  await nats.restart();
  await publisher.publishMany(1, 1);
  await checkWhole(t, scene, [1, 2, 3]);
});

t.test('I2 an older copy, and nothing new for a while', async (t) => {
  const scene = await setScene(t);
  const { nats, publisher, own, url } = scene;
  await publisher.publishMany(1, 3);
  await own.waitForNotifications(8);
  await nats.stop();
  copyStore(scene.copy, nats.storeDirectory);
  await nats.restart();
  await waitFor(() => scene.app.eventConsumer.stats.recoveries === 1);
  await waitForReady(url);
  // What was lost was seen by everybody here; what comes next follows on it.
  await publisher.publishMany(1, 1);
  await publisher.publishMany(2, 1);
  await checkWhole(t, scene, [1, 2]);
});

t.test('I2 the stream is deleted and made anew under a connection that never breaks', async (t) => {
  const scene = await setScene(t);
  const { publisher, own } = scene;
  const tail = await publisher.publishMany(1, 3);
  await own.waitForNotifications(8);
  await deleteEventsStream(publisher.connection);
  await createEventsStream(publisher.connection);
  await publisher.publishMany(3, 12);
  await publishAgain(publisher, tail);
  await publisher.publishMany(1, 2);
  await checkWhole(t, scene, [1, 2, 3]);
});

t.test('I2 the store is lost whole', async (t) => {
  const scene = await setScene(t);
  const { nats, publisher, own } = scene;
  const tail = await publisher.publishMany(1, 3);
  await own.waitForNotifications(8);
  await nats.stop();
  rmSync(join(nats.storeDirectory, STORE), { recursive: true });
  await nats.restart();
  await waitFor(() => createEventsStream(publisher.connection).then(() => true));
  await publisher.publishMany(3, 5);
  await publishAgain(publisher, tail);
  await publisher.publishMany(1, 2);
  await checkWhole(t, scene, [1, 2, 3]);
});

t.test('I2 the broker is killed and rolled back again and again, also in the middle of a recovery', async (t) => {
  const scene = await setScene(t);
  const { nats, publisher } = scene;
  const tail: PublishedEvent[] = [];
  for (let round = 0; round < 5; round += 1) {
    tail.push(...(await publisher.publishMany(1, 2)), ...(await publisher.publishMany(2, 1)));
    await nats.kill();
    copyStore(scene.copy, nats.storeDirectory);
    await nats.restart();
    const republishing = publishAgain(publisher, tail);
    await nats.kill();
    await nats.restart();
    await republishing;
  }
  // Once more, as the relay would after the last change: what an interrupted round stored may be gone again.
  await publishAgain(publisher, tail);
  await publisher.publishMany(1, 1);
  await checkWhole(t, scene, [1, 2]);
});

t.test('F3 the node’s consumer is deleted under it', async (t) => {
  const scene = await setScene(t);
  const { publisher, app } = scene;
  const manager = await jetstreamManager(publisher.connection);
  for (let round = 0; round < 5; round += 1) {
    const [consumer] = await waitFor(async () => {
      const list = await manager.consumers.list(EVENTS_STREAM_NAME).next();
      return list.length > 0 ? list : null;
    });
    await manager.consumers.delete(EVENTS_STREAM_NAME, consumer!.name);
    await publisher.publishMany(1, 3);
    await publisher.publishMany(2, 3);
  }
  await checkWhole(t, scene, [1, 2]);
  t.ok((app.eventConsumer.stats.epochEnds.get('consumer_gone') ?? 0) >= 1);
});

t.test('F9 the broker stands still for a while', async (t) => {
  const scene = await setScene(t);
  const { nats, publisher, app } = scene;
  await nats.kill('SIGSTOP');
  const publishing = publisher.publishMany(1, 5);
  await waitFor(() => app.eventConsumer.stats.epochEnds.size > 1 || !app.eventConsumer.isReady);
  await nats.kill('SIGCONT');
  await publishing;
  await publisher.publishMany(2, 1);
  await checkWhole(t, scene, [1, 2]);
});
