/**
 * If this breaks: a client that lost its connection misses notifications without being told, sees some twice, or is
 * shown somebody else's.
 */
import { encodeFeedCursor, encodeOwnCursor } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import t, { type Test } from 'tap';
import type { PublishedEvent } from './support/event-publisher.ts';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket, type SocketClient } from './support/socket-client.ts';

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

async function leave(client: SocketClient): Promise<void> {
  client.socket.terminate();
  await client.waitForClose();
}

/** What was missed is found in memory, or read from the stream where memory does not reach: the answers are the same. */
async function checkResumes(t: Test, recentEventsMax: string): Promise<void> {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const limits = { RESUME_EVENTS_MAX: '50', RECENT_EVENTS_MAX: recentEventsMax };
  const { url, app } = await startNotify(t, world, limits);
  const hasRead = (position: number): Promise<unknown> => waitFor(() => app.eventConsumer.readThrough >= position);
  /** The node has them too: else they come behind an answer that does not know of them. */
  const publishThrough = async (userId: number, count: number): Promise<PublishedEvent[]> => {
    const events = await publisher.publishMany(userId, count);
    await hasRead(events.at(-1)!.position);
    return events;
  };
  let lastUser = 0;
  const newUser = (): { userId: number; token: string } => {
    lastUser += 1;
    return { userId: lastUser, token: issuer.token(lastUser) };
  };
  // Other users' events lie between everybody's.
  await publisher.publishMany(99_999, 3);

  await t.test('R4 connected tells who, where and for how long', async (t) => {
    const { userId } = newUser();
    const sid = '5c8d6c3e-92f3-4a53-9d8f-6c1a4a6f0b11';
    const exp = Math.floor(Date.now() / 1_000) + 120;
    const token = issuer.token(userId, { claims: { sid, exp } });
    const first = await connectSocket(url, { token });
    t.match(first.connected, { user_id: userId, session_id: sid, seq: 0, recovered: true, ping_ms: 25_000 });
    t.equal(first.connected.expires_at, new Date(exp * 1_000).toISOString());
    t.equal(first.frames[0]!.type, 'connected');
    await publisher.publishMany(userId, 2);
    await first.waitForNotifications(2);
    const second = await connectSocket(url, { token });
    t.match(second.connected, { seq: 2, recovered: true }, 'without a cursor it stands at the newest');
    t.same(second.notifications, []);
    first.close();
    second.close();
  });

  await t.test('R4 with the cursor of connected or of a notification, exactly what was missed is replayed', async (t) => {
    const { userId, token } = newUser();
    const first = await connectSocket(url, { token });
    const fromTheStart = first.connected.cursor;
    await leave(first);
    const published = await publisher.publishMany(userId, 5);
    const second = await connectSocket(url, { token, after: fromTheStart });
    t.match(second.connected, { seq: 0, recovered: true, cursor: fromTheStart });
    await second.waitForNotifications(5);
    t.same(second.seqs, range(1, 5));
    t.same(second.notifications.map(({ id }) => id), published.map(({ id }) => id));
    await leave(second);
    for (const { seq, cursor } of second.notifications) {
      const again = await connectSocket(url, { token, after: cursor });
      t.match(again.connected, { seq, recovered: true, user_id: userId });
      await again.waitForNotifications(5 - seq);
      t.same(again.seqs, range(seq + 1, 5));
      again.close();
    }
  });

  await t.test('R4 a plain seq is accepted as a cursor', async (t) => {
    const { userId, token } = newUser();
    await publisher.publishMany(userId, 6);
    for (const after of [0, 3, 5, 6]) {
      const client = await connectSocket(url, { token, after: String(after) });
      t.match(client.connected, { seq: after, recovered: true });
      await client.waitForNotifications(6 - after);
      const { cursor } = client.connected;
      client.close();
      const again = await connectSocket(url, { token, after: cursor });
      await again.waitForNotifications(6 - after);
      t.same(again.seqs, range(after + 1, 6), 'and the cursor that it gave is as good');
      again.close();
    }
  });

  await t.test('R4 a replay while events keep arriving: in order, none twice, none missing', async (t) => {
    const { userId, token } = newUser();
    const first = await connectSocket(url, { token });
    await publisher.publish(userId);
    await first.waitForNotifications(1);
    await leave(first);
    await publisher.publishMany(userId, 20);
    let isPublishing = true;
    const publishing = (async () => {
      while (isPublishing && publisher.lastSeq(userId) < 400) await publisher.publish(userId);
    })();
    const clients: SocketClient[] = [];
    for (let at = 0; at < 20; at += 1) clients.push(await connectSocket(url, { token, after: clients.at(-1)?.cursor ?? first.cursor }));
    isPublishing = false;
    await publishing;
    const last = publisher.lastSeq(userId);
    for (const client of clients) {
      const { seq } = client.connected;
      t.equal(client.connected.recovered, true);
      await client.waitForNotifications(last - seq!);
      t.same(client.seqs, range(seq! + 1, last));
      client.close();
    }
  });

  await t.test('R4 cut off in mid-replay: the cursor kept from connected, or from any notification, brings the rest', async (t) => {
    const { userId, token } = newUser();
    const first = await connectSocket(url, { token });
    const start = first.connected.cursor;
    await leave(first);
    await publisher.publishMany(userId, 50);
    const seen: number[] = [];
    let after = start;
    for (let cuts = 0; seen.length < 50; cuts += 1) {
      const client = await connectSocket(url, { token, after });
      t.equal(client.connected.recovered, true);
      // Takes a part of what arrives, each time more, and is gone in the middle of it.
      await client.waitForNotifications(Math.min(cuts * 3, 50 - seen.length));
      const part = client.notifications.slice(0, cuts * 3);
      seen.push(...part.map(({ seq }) => seq));
      after = part.at(-1)?.cursor ?? client.connected.cursor;
      await leave(client);
    }
    t.same(seen, range(1, 50));
  });

  await t.test('R4 bad cursors: an explicit answer, live from the newest, never another user’s data', async (t) => {
    const { userId, token } = newUser();
    const other = newUser();
    const events = await publishThrough(userId, 3);
    const foreign = await publishThrough(other.userId, 3);
    const at = (event: { id: string; position: number }): { sequence: number; eventId: string } => ({
      sequence: event.position,
      eventId: event.id,
    });
    const cursors: Record<string, string> = {
      negative: '-1',
      '2^63': '9223372036854775808',
      '2^53': '9007199254740992',
      'not a number': 'abc',
      empty: '',
      fraction: '1.5',
      'hexadecimal': '0x10',
      'too long': '1'.repeat(200),
      'ahead of the log': '4',
      'far ahead of the log': '9007199254740991',
      'ahead, with a true hint': encodeOwnCursor(userId, 9, at(events[2]!)),
      'of another user': encodeOwnCursor(other.userId, 1, at(foreign[0]!)),
      'of another user, without a hint': encodeOwnCursor(other.userId, 1, { sequence: 0, eventId: '' }),
      'of the feed of everything': encodeFeedCursor(at(events[0]!)),
      'of an unknown kind': 'z9.1.2.3',
      'with blanks': ' 1',
    };
    for (const [what, after] of Object.entries(cursors)) {
      const client = await connectSocket(url, { token, after });
      t.match(client.connected, { user_id: userId, recovered: false, reason: 'unknown_cursor', seq: 3 }, what);
      t.same(client.notifications, [], what);
      const resumed = await connectSocket(url, { token, after: client.connected.cursor });
      t.match(resumed.connected, { recovered: true, seq: 3 }, 'the cursor that came with the answer is good');
      client.close();
      resumed.close();
    }
    const twice = await connectSocket(url, { token, path: '/ws/notifications/?after=1&after=2' });
    t.match(twice.connected, { recovered: false, reason: 'unknown_cursor' });
    const next = await publisher.publish(userId);
    await twice.waitForNotifications(1);
    t.same(twice.seqs, [next.seq], 'live from now on');
    twice.close();
  });

  await t.test('R4 ahead of the log, at a node that has not seen an event of the user', async (t) => {
    const { userId, token } = newUser();
    const events = await publisher.publishMany(userId, 2);
    const others = await publisher.publishMany(99_999, 2);
    const { url: newcomer } = await startNotify(t, world, { ...limits, RECENT_EVENTS_MAX: '1' });
    const held = { sequence: others[1]!.position, eventId: others[1]!.id };
    const ahead = await connectSocket(newcomer, { token, after: encodeOwnCursor(userId, 9, held) });
    t.match(ahead.connected, { recovered: false, reason: 'unknown_cursor', seq: 2 });
    const behind = await connectSocket(newcomer, { token, after: encodeOwnCursor(userId, 1, held) });
    t.match(behind.connected, { recovered: true, seq: 1 }, 'nor is a hint past what was missed');
    await behind.waitForNotifications(1);
    t.same(behind.seqs, [2], 'it is found where it is');
    const plain = await connectSocket(newcomer, { token, after: '1' });
    await plain.waitForNotifications(1);
    t.same(plain.notifications.map(({ id }) => id), [events[1]!.id]);
    for (const client of [ahead, behind, plain]) client.close();
  });

  await t.test('R4 a hint that lies loses nothing in silence', async (t) => {
    const { userId, token } = newUser();
    const events = await publishThrough(userId, 5);
    const lies: Record<string, [number, number]> = { 'seq 2 at the place of 4': [2, 3], 'seq 4 at the place of 2': [4, 1], 'seq 2 at the place of 5': [2, 4] };
    for (const [what, [seq, at]] of Object.entries(lies)) {
      const after = encodeOwnCursor(userId, seq, { sequence: events[at]!.position, eventId: events[at]!.id });
      const client = await connectSocket(url, { token, after });
      if (client.connected.recovered) {
        await client.waitForNotifications(5 - seq);
        t.same(client.seqs, range(seq + 1, 5), what);
      } else {
        t.match(client.connected, { reason: /evicted|unknown_cursor/, seq: 5 }, what);
      }
      client.close();
    }
    const wrongMark = encodeOwnCursor(userId, 2, { sequence: events[3]!.position, eventId: events[0]!.id });
    const client = await connectSocket(url, { token, after: wrongMark });
    t.match(client.connected, { recovered: true, seq: 2 }, 'a hint that is not believed costs a walk, no more');
    await client.waitForNotifications(3);
    t.same(client.seqs, [3, 4, 5]);
    client.close();
  });

  await t.test('R5 as many as may be replayed are; one more → limit, and live', async (t) => {
    const { userId, token } = newUser();
    const first = await connectSocket(url, { token });
    const { cursor } = first.connected;
    await leave(first);
    await publisher.publishMany(userId, 50);
    for (const after of [cursor, '0']) {
      const whole = await connectSocket(url, { token, after });
      t.match(whole.connected, { recovered: true, seq: 0 });
      await whole.waitForNotifications(50);
      t.same(whole.seqs, range(1, 50));
      whole.close();
    }
    await publishThrough(userId, 1);
    for (const [at, after] of [cursor, '0'].entries()) {
      const tooMany = await connectSocket(url, { token, after });
      t.match(tooMany.connected, { recovered: false, reason: 'limit', seq: 51 + at });
      const { seq } = await publisher.publish(userId);
      await tooMany.waitForNotifications(1);
      t.same(tooMany.seqs, [seq]);
      tooMany.close();
    }
  });

  await t.test('R4 the feed of everything resumes by its own cursor', async (t) => {
    const token = issuer.token(1, { claims: { scope: 'notifications:all' } });
    const first = await connectSocket(url, { token });
    t.match(first.connected, { seq: null, recovered: true });
    const start = first.connected.cursor;
    await leave(first);
    const a = newUser();
    const b = newUser();
    const published = [];
    for (let at = 0; at < 10; at += 1) published.push(await publisher.publish(at % 3 === 0 ? a.userId : b.userId));
    const second = await connectSocket(url, { token, after: start });
    t.match(second.connected, { recovered: true, cursor: start });
    await second.waitForNotifications(10);
    t.same(second.notifications.map(({ id }) => id), published.map(({ id }) => id));
    const middle = await connectSocket(url, { token, after: second.notifications[4]!.cursor });
    await middle.waitForNotifications(5);
    t.same(middle.notifications.map(({ id }) => id), published.slice(5).map(({ id }) => id));
    const { sequence } = { sequence: published[0]!.position };
    for (const after of [
      encodeOwnCursor(1, 1, { sequence, eventId: published[0]!.id }),
      encodeFeedCursor({ sequence, eventId: published[1]!.id }),
      encodeFeedCursor({ sequence: 1_000_000, eventId: published[1]!.id }),
      '3',
      'nonsense',
    ]) {
      const client = await connectSocket(url, { token, after });
      t.match(client.connected, { recovered: false, reason: 'unknown_cursor' }, after);
      t.same(client.notifications, []);
      client.close();
    }
    const own = await connectSocket(url, { token: a.token, after: start });
    t.match(own.connected, { recovered: false, reason: 'unknown_cursor' }, 'and is nothing on a socket for own events');
    for (const client of [second, middle, own]) client.close();
  });

  await t.test('R4 many resumes at once, while the user and others are busy', async (t) => {
    const { userId, token } = newUser();
    await publisher.publishMany(userId, 30);
    const clients = await Promise.all(range(1, 40).map((at) => connectSocket(url, { token, after: String(at % 30) })));
    await Promise.all([publisher.publishMany(userId, 10), publisher.publishMany(99_999, 10)]);
    for (const client of clients) {
      await client.waitForNotifications(40 - client.connected.seq!);
      t.same(client.seqs, range(client.connected.seq! + 1, 40));
      client.close();
    }
    await waitFor(() => app.hub.size === 0, { description: 'every socket to be forgotten' });
  });
}

t.test('R4 resume, with what was missed in memory', (t) => checkResumes(t, '20000'));
t.test('R4 resume, with what was missed in the stream', (t) => checkResumes(t, '1'));
