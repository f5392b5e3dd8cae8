/**
 * If this breaks: an announcement is shown twice to who reconnects, or never; or whoever missed one is told that they
 * missed nothing.
 */
import { encodeOwnCursor, EVENTS_STREAM, EVENTS_STREAM_NAME, type BroadcastFrame, type NotificationFrame } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import t, { type Test } from 'tap';
import { createEventsStream, deleteEventsStream, NEWS } from './support/event-publisher.ts';
import { startNotify, startWorld, waitForReady, type World } from './support/notify.ts';
import { connectSocket, type SocketClient } from './support/socket-client.ts';
import { openStream } from './support/sse-client.ts';

type AnyFrame = NotificationFrame | BroadcastFrame;

/** `3` for one's own third, `b3` for the third for everybody. */
const nameOf = (frame: AnyFrame): string =>
  'broadcast_seq' in frame ? `b${frame.broadcast_seq}` : String(frame.seq);
const namesOf = (client: { readonly notifications: readonly AnyFrame[] }): string[] => client.notifications.map(nameOf);
const ownOf = (names: readonly string[]): string[] => names.filter((name) => !name.startsWith('b'));
const broadcastsOf = (names: readonly string[]): string[] => names.filter((name) => name.startsWith('b'));
const numbered = (prefix: string, first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, at) => `${prefix}${first + at}`);

async function leave(client: SocketClient): Promise<void> {
  client.close();
  await client.waitForClose();
}

t.test('R2 what is for everybody reaches everybody in the form they know', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const { url } = await startNotify(t, world, { DEBUG: 'true' });
  const { url: second } = await startNotify(t, world);
  const own = await connectSocket(url, { token: issuer.token(1) });
  const elsewhere = await connectSocket(second, { token: issuer.token(2) });
  const plain = await connectSocket(url, { token: issuer.token(1), isV1: false });
  const anonymous = await connectSocket(url, { isV1: false });
  const feed = await connectSocket(url);
  const stream = await openStream(url, { token: issuer.token(1) });
  await publisher.publish(1);
  const { id } = await publisher.broadcast();
  await publisher.broadcast();
  await publisher.publish(1);

  for (const client of [own, feed, stream]) {
    await client.waitForNotifications(4);
    t.same(namesOf(client), ['1', 'b1', 'b2', '2'], 'in the order of the log');
  }
  await elsewhere.waitForNotifications(2);
  t.same(namesOf(elsewhere), ['b1', 'b2']);
  const { cursor, time, ...frame } = own.notifications[1]! as unknown as BroadcastFrame;
  t.same(frame, {
    type: NEWS,
    status: 'success',
    user_id: null,
    phone_number: null,
    message: 'Nouvelle n° 1',
    messages: { fr: 'Nouvelle n° 1', en: 'News no. 1' },
    data: { number: 1 },
    id,
    broadcast_seq: 1,
  });
  t.match(cursor, /^u2\.1\.1\.\d+\.[0-9a-f]{12}\.1$/, 'a place in both logs');
  t.match(own.notifications[0]!.cursor, /^u1\./, 'before the first broadcast a cursor is what it was');
  t.equal(stream.events.find(({ data }) => data.broadcast_seq === 1)?.id, cursor, 'an event stream has the same');
  for (const client of [plain, anonymous]) {
    await client.waitForNotifications(4);
    const inherited = { type: NEWS, status: 'success', user_id: null, phone_number: null, message: 'Nouvelle n° 1' };
    t.same(client.frames[1], inherited, 'the inherited keys, in French');
    t.same(Object.keys(client.frames[1]!), Object.keys(inherited));
  }
  t.ok(Date.parse(time) > 0);
  for (const client of [own, elsewhere, plain, anonymous, feed, stream]) client.close();
});

/** One that listened all the time, and whatever cursor it had, at either node: exactly the rest follows. */
async function checkEveryCursor(t: Test, world: World, urls: readonly string[], witness: SocketClient): Promise<void> {
  const token = world.issuer.token(1);
  const all = namesOf(witness);
  const cursors = [witness.connected.cursor, ...witness.notifications.map(({ cursor }) => cursor)];
  for (const url of urls) {
    for (const [at, after] of cursors.entries()) {
      const client = await connectSocket(url, { token, after });
      const rest = all.slice(at);
      await client.waitForNotifications(rest.length);
      t.match(client.connected, { recovered: true }, after);
      t.same(namesOf(client), rest, `behind ${after}`);
      await leave(client);
    }
  }
}

t.test('R4 resumes cover both logs', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const limits = { RESUME_EVENTS_MAX: '20' };
  const first = await startNotify(t, world, limits);
  const token = issuer.token(1);
  const everything = issuer.token(9, { claims: { scope: 'notifications:all' } });
  const witness = await connectSocket(first.url, { token });
  const feed = await connectSocket(first.url, { token: everything });

  await t.test('R4 from every cursor, at a node that saw them and at one that did not', async (t) => {
    for (const kind of 'own all other own own all all other own all'.split(' ')) {
      if (kind === 'all') await publisher.broadcast();
      else await publisher.publish(kind === 'own' ? 1 : 2);
    }
    await witness.waitForNotifications(8);
    await feed.waitForNotifications(10);
    t.same(namesOf(witness), ['1', 'b1', '2', '3', 'b2', 'b3', '4', 'b4']);
    const { url } = await startNotify(t, world, limits);
    await checkEveryCursor(t, world, [first.url, url], witness);
    for (const node of [first.url, url]) {
      for (const [at, { cursor: after }] of feed.notifications.entries()) {
        const client = await connectSocket(node, { token: everything, after });
        await client.waitForNotifications(9 - at);
        t.same(namesOf(client), namesOf(feed).slice(at + 1), 'the feed of everything too');
        await leave(client);
      }
    }
  });

  await t.test('R4 a replay’s own frames have cursors that resume as well', async (t) => {
    const replayed = await connectSocket(first.url, { token, after: witness.connected.cursor });
    await replayed.waitForNotifications(8);
    t.same(
      replayed.notifications.map(({ cursor }) => cursor),
      witness.notifications.map(({ cursor }) => cursor),
    );
    await leave(replayed);
  });

  await t.test('R4 a plain number, and a cursor of the release before, are taken', async (t) => {
    const plain = await connectSocket(first.url, { token, after: '2' });
    await plain.waitForNotifications(2);
    t.match(plain.connected, { recovered: true, seq: 2 });
    t.same(namesOf(plain), ['3', '4'], 'a number speaks of one’s own log');
    t.match(plain.notifications[0]!.cursor, /^u2\.1\.3\.\d+\.[0-9a-f]{12}\.4$/, 'and joins the other as it is now');
    const { id, cursor } = witness.notifications[2]!;
    const sequence = Number(cursor.split('.')[3]);
    const before = await connectSocket(first.url, { token, after: encodeOwnCursor(1, 2, { sequence, eventId: id }) });
    await before.waitForNotifications(5);
    t.same(namesOf(before), ['3', 'b2', 'b3', '4', 'b4'], 'its hint is a place in both logs');
    for (const client of [plain, before]) await leave(client);
  });

  await t.test('R4 a number that nobody sent yet → unknown_cursor, and live from now on', async (t) => {
    const { cursor } = witness.notifications.at(-1)!;
    const ahead = await connectSocket(first.url, { token, after: cursor.replace(/\d+$/, '99') });
    t.match(ahead.connected, { recovered: false, reason: 'unknown_cursor', seq: 4 });
    const stranger = await connectSocket(first.url, { token: issuer.token(2), after: cursor });
    t.match(stranger.connected, { recovered: false, reason: 'unknown_cursor', user_id: 2 });
    await publisher.broadcast();
    for (const client of [ahead, stranger, witness]) await waitFor(() => namesOf(client).at(-1) === 'b5');
    t.same([namesOf(ahead), namesOf(stranger)], [['b5'], ['b5']]);
    for (const client of [ahead, stranger]) await leave(client);
  });

  await t.test('R5 as many as may be replayed are; one more → limit, for both logs', async (t) => {
    const { cursor: after } = witness.notifications.at(-1)!;
    for (let sent = 0; sent < 20; sent += 1) await publisher.broadcast();
    await waitFor(() => namesOf(witness).at(-1) === 'b25');
    const whole = await connectSocket(first.url, { token, after });
    await whole.waitForNotifications(20);
    t.same(namesOf(whole), numbered('b', 6, 25));
    await leave(whole);
    await publisher.broadcast();
    await publisher.publish(1);
    await waitFor(() => namesOf(witness).at(-1) === '5');
    const limited = await connectSocket(first.url, { token, after });
    t.match(limited.connected, { recovered: false, reason: 'limit', seq: 5 }, 'nor is the own one replayed');
    await publisher.broadcast();
    await limited.waitForNotifications(1);
    t.same(namesOf(limited), ['b27']);
    const again = await connectSocket(first.url, { token, after: limited.connected.cursor });
    await again.waitForNotifications(1);
    t.same(namesOf(again), ['b27'], 'its cursor is where it went live');
    for (const client of [limited, again]) await leave(client);
  });

  await t.test('R4 coming and going while both logs grow: each once, in order', async (t) => {
    const { url } = await startNotify(t, world, { RESUME_EVENTS_MAX: '1000' });
    const urls = [first.url, url];
    const [ownBefore, allBefore] = [publisher.lastSeq(1), publisher.lastBroadcastSeq];
    const client = await connectSocket(url, { token });
    let after = client.cursor;
    await leave(client);
    const received: string[] = [];
    let isPublishing = true;
    const publishing = (async () => {
      for (let count = 0; count < 60; count += 1) {
        await publisher.broadcast();
        await publisher.publish(1);
      }
      isPublishing = false;
    })();
    const isWhole = (): boolean =>
      !isPublishing && received.includes(`b${publisher.lastBroadcastSeq}`) && received.includes(String(publisher.lastSeq(1)));
    for (let turn = 0; !isWhole() && turn < 500; turn += 1) {
      const visitor = await connectSocket(urls[turn % 2]!, { token, after });
      t.equal(visitor.connected.recovered, true, after);
      await waitFor(() => visitor.notifications.length > turn % 3 || isWhole() || !isPublishing);
      visitor.socket.terminate();
      received.push(...namesOf(visitor));
      after = visitor.cursor;
    }
    await publishing;
    t.same(ownOf(received), numbered('', ownBefore + 1, ownBefore + 60));
    t.same(broadcastsOf(received), numbered('b', allBefore + 1, allBefore + 60));
  });
  for (const client of [witness, feed]) client.close();
});

t.test('R5 broadcasts that are gone from the stream', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const manager = await jetstreamManager(publisher.connection);
  await manager.streams.update(EVENTS_STREAM_NAME, { max_msgs: 10 });
  const token = issuer.token(1);
  const { url } = await startNotify(t, world);
  const before = await connectSocket(url, { token });
  await publisher.publish(1);
  for (let sent = 0; sent < 3; sent += 1) await publisher.broadcast();
  const witness = await connectSocket(url, { token, after: '0' });
  await publisher.publish(1);
  for (let sent = 0; sent < 9; sent += 1) await publisher.broadcast();
  await witness.waitForNotifications(11);
  const cursorOf = (name: string): string => witness.notifications.find((frame) => nameOf(frame) === name)!.cursor;
  // Held are b3 to b12 but for the own second; the first own one is gone.
  const { url: newcomer } = await startNotify(t, world);
  const gone = await connectSocket(newcomer, { token, after: before.connected.cursor });
  t.match(gone.connected, { recovered: false, reason: 'evicted', seq: 2 });
  const held = await connectSocket(newcomer, { token, after: cursorOf('b4') });
  t.match(held.connected, { recovered: true });
  await held.waitForNotifications(8);
  t.same(namesOf(held), numbered('b', 5, 12));
  const remembered = await connectSocket(url, { token, after: cursorOf('2') });
  await remembered.waitForNotifications(9);
  t.same(namesOf(remembered), numbered('b', 4, 12));

  for (let sent = 0; sent < 10; sent += 1) await publisher.publish(900);
  const { url: last } = await startNotify(t, world);
  const unprovable = await connectSocket(last, { token, after: cursorOf('b12') });
  t.match(unprovable.connected, { recovered: false, reason: 'evicted' }, 'none is held, and nothing proves the place');
  await publisher.broadcast();
  await unprovable.waitForNotifications(1);
  t.same(namesOf(unprovable), ['b13'], 'whatever number comes first is accepted');
  const next = await connectSocket(last, { token, after: unprovable.connected.cursor });
  await next.waitForNotifications(1);
  t.same(namesOf(next), ['b13'], 'from a place before any that this node knew');
  for (const client of [before, witness, gone, held, remembered, unprovable, next]) client.close();
});

t.test('R15 what is no event is nobody’s, and explains a jump; what is missing is said', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const { url, app } = await startNotify(t, world);
  const token = issuer.token(1);
  const own = await connectSocket(url, { token });
  const plain = await connectSocket(url, { token, isV1: false });
  await publisher.broadcast();
  await publisher.publishRaw(`broadcasts.${NEWS}`, 'rubbish');
  await publisher.publishRaw('broadcasts.user.login', JSON.stringify({ ...publisher.envelope(7), subject: 'broadcasts' }));
  await publisher.broadcast({ seq: 3 });
  await own.waitForNotifications(2);
  t.same(namesOf(own), ['b1', 'b3']);
  t.same(Object.fromEntries(app.eventConsumer.stats.invalidEvents), { json: 1, mismatch: 1 });
  const resumed = await connectSocket(url, { token, after: own.notifications[0]!.cursor });
  await resumed.waitForNotifications(1);
  t.same(namesOf(resumed), ['b3'], 'in a replay too');

  await publisher.broadcast({ seq: 7 });
  t.match(await own.waitForClose(), { code: 4001 });
  const back = await connectSocket(url, { token, after: own.cursor });
  t.match(back.connected, { recovered: false, reason: 'evicted' });
  await plain.waitForNotifications(3);
  t.equal(plain.closed, null, 'for who has no cursor a reconnect is what loses events');
  for (const client of [plain, resumed, back]) client.close();
});

t.test('R4 a broker that lost everything gets the last ones again: nobody is told twice', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const { url, app } = await startNotify(t, world);
  const token = issuer.token(1);
  const witness = await connectSocket(url, { token });
  await publisher.publish(1);
  const sent = [await publisher.broadcast(), await publisher.broadcast()];
  await witness.waitForNotifications(3);
  const [, { cursor }] = witness.notifications as [AnyFrame, AnyFrame];
  await deleteEventsStream(publisher.connection);
  await createEventsStream(publisher.connection);
  for (const { seq, id } of sent) await publisher.broadcast({ seq, id });
  await publisher.publish(1, { seq: 1 });
  await waitFor(() => app.eventConsumer.stats.recoveries === 1);
  await publisher.broadcast();
  await waitForReady(url);
  await witness.waitForNotifications(4);
  t.same(namesOf(witness), ['1', 'b1', 'b2', 'b3']);
  const resumed = await connectSocket(url, { token, after: cursor });
  await resumed.waitForNotifications(2);
  t.match(resumed.connected, { recovered: true });
  t.same(namesOf(resumed), ['b2', 'b3'], 'by numbers, whatever became of the positions');
  for (const client of [witness, resumed]) client.close();
});

t.test('F20 a node takes people in while the stream is that of the release before, without broadcasts', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const manager = await jetstreamManager(publisher.connection);
  await deleteEventsStream(publisher.connection);
  await manager.streams.add({ ...EVENTS_STREAM, subjects: ['users.>'] });
  const { url, app } = await startNotify(t, world);
  const client = await connectSocket(url, { token: issuer.token(1) });
  await publisher.publish(1);
  await client.waitForNotifications(1);
  await manager.streams.update(EVENTS_STREAM_NAME, { subjects: [...EVENTS_STREAM.subjects] });
  await publisher.broadcast();
  await client.waitForNotifications(2);
  t.same(namesOf(client), ['1', 'b1'], 'and hears them as soon as there are any');
  t.equal(app.eventConsumer.stats.losses, 0);
  client.close();
});
