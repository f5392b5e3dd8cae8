/**
 * If this breaks: a client whose events are gone from the log believes that it has everything, or is cut off from what
 * comes next.
 */
import { encodeFeedCursor, encodeOwnCursor, EVENTS_STREAM_NAME } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import t, { type Test } from 'tap';
import type { PublishedEvent } from './support/event-publisher.ts';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket, type SocketClient } from './support/socket-client.ts';

/** The log holds this many messages: what age does within a week, this does within a test. */
const HELD = 10;

function at({ position, id }: PublishedEvent): { sequence: number; eventId: string } {
  return { sequence: position, eventId: id };
}

t.test('R5 what is gone from the stream', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const manager = await jetstreamManager(publisher.connection);
  await manager.streams.update(EVENTS_STREAM_NAME, { max_msgs: HELD });
  // What a node remembers of the last events would outlive the log in this test: it remembers one.
  const { app, url } = await startNotify(t, world, { RECENT_EVENTS_MAX: '1' });
  const other = 900;
  // Until the node has read it, too: what it reads later is news to those who are connected by then.
  const flush = async (count: number): Promise<PublishedEvent[]> => {
    const flushed = await publisher.publishMany(other, count);
    await waitFor(() => app.eventConsumer.readThrough >= flushed.at(-1)!.position);
    return flushed;
  };
  let userId = 0;
  const nextToken = (): string => {
    userId += 1;
    return issuer.token(userId);
  };
  const isLive = async (t: Test, client: SocketClient): Promise<void> => {
    const count = client.notifications.length;
    const { seq } = await publisher.publish(userId);
    await client.waitForNotifications(count + 1);
    t.same(client.seqs.at(-1), seq, 'live from now on');
    client.close();
  };

  await t.test('R5 some of the missed events are gone → evicted, none of the rest is replayed', async (t) => {
    const token = nextToken();
    const events = await publisher.publishMany(userId, 5);
    await flush(HELD - 3);
    for (const after of ['0', '1', encodeOwnCursor(userId, 1, at(events[0]!))]) {
      const client = await connectSocket(url, { token, after });
      t.match(client.connected, { recovered: false, reason: 'evicted', seq: 5 }, after);
      t.same(client.notifications, []);
      client.close();
    }
    const whole = await connectSocket(url, { token, after: encodeOwnCursor(userId, 2, at(events[1]!)) });
    t.match(whole.connected, { recovered: true, seq: 2 }, 'its hint is gone, what it missed is not');
    await whole.waitForNotifications(3);
    t.same(whole.seqs, [3, 4, 5]);
    await isLive(t, whole);
  });

  await t.test('R5 all of the user’s events are gone, and nothing proves the cursor → evicted', async (t) => {
    const token = nextToken();
    const events = await publisher.publishMany(userId, 2);
    await flush(HELD);
    // This node saw them pass; one that starts now did not.
    const { url: newcomer } = await startNotify(t, world);
    for (const after of ['1', '2', encodeOwnCursor(userId, 2, at(events[1]!))]) {
      const client = await connectSocket(newcomer, { token, after });
      t.match(client.connected, { recovered: false, reason: 'evicted', seq: 0 }, after);
      client.close();
    }
    const client = await connectSocket(url, { token, after: '2' });
    t.match(client.connected, { recovered: true, seq: 2 }, 'the node that saw them knows that 2 was the last');
    const fresh = await connectSocket(newcomer, { token });
    t.match(fresh.connected, { recovered: true, seq: 0 });
    const next = await publisher.publish(userId);
    await client.waitForNotifications(1);
    await fresh.waitForNotifications(1);
    t.same([client.seqs, fresh.seqs], [[next.seq], [next.seq]], 'whatever seq comes first is accepted');
    await publisher.publish(userId);
    for (const socket of [client, fresh]) await socket.waitForNotifications(2);
    fresh.close();
    await isLive(t, client);
  });

  await t.test('R5 all of the user’s events are gone, and the cursor’s mark is held → nothing was missed', async (t) => {
    const token = nextToken();
    await publisher.publishMany(userId, 2);
    await flush(HELD);
    const { url: newcomer } = await startNotify(t, world);
    const first = await connectSocket(newcomer, { token });
    const marked = (await flush(1))[0]!;
    for (const after of [first.connected.cursor, encodeOwnCursor(userId, 2, at(marked))]) {
      const client = await connectSocket(newcomer, { token, after });
      t.match(client.connected, { recovered: true }, after);
      client.close();
    }
    await publisher.publishMany(userId, 2);
    const resumed = await connectSocket(newcomer, { token, after: first.connected.cursor });
    await resumed.waitForNotifications(2);
    t.same(resumed.seqs, [3, 4]);
    first.close();
    await isLive(t, resumed);
  });

  await t.test('R5 the feed of everything: its place is gone → evicted', async (t) => {
    const token = issuer.token(1, { claims: { scope: 'notifications:all' } });
    const [first, ...rest] = await flush(3);
    await flush(HELD - 2);
    const gone = await connectSocket(url, { token, after: encodeFeedCursor(at(first!)) });
    t.match(gone.connected, { recovered: false, reason: 'evicted' });
    t.same(gone.notifications, []);
    const beginning = await connectSocket(url, { token, after: 'a1.0.0' });
    t.match(beginning.connected, { recovered: false, reason: 'evicted' });
    const held = await connectSocket(url, { token, after: encodeFeedCursor(at(rest[0]!)) });
    t.match(held.connected, { recovered: true });
    await held.waitForNotifications(HELD - 1);
    await publisher.publish(1);
    await gone.waitForNotifications(1);
    for (const client of [gone, beginning, held]) client.close();
  });
});
