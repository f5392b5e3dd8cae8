// If this breaks, a user sees a notification twice after each reconnect, misses one after a reload, or the page of
// somebody who leaves it open for a week grows until the tab dies.
import t from 'tap';
import { FEED_LIMIT, Feed } from '../public/feed.js';
import type { Notification } from '../public/frames.js';

const now = Date.parse('2025-06-01T12:00:00Z');

function login(seq: number, userId = 1): Notification {
  const time = new Date(now + seq * 1000).toISOString();
  return { type: 'user.login', status: 'success', user_id: userId, seq, time, cursor: `cursor-${userId}-${seq}` };
}

function sequences(feed: Feed): (number | string | undefined)[] {
  return feed.entries.map((entry) => (entry.kind === 'gap' ? entry.reason : entry.notification.seq));
}

t.test('newest first, each (user, seq) once', async (t) => {
  const feed = new Feed(1);
  for (const seq of [1, 2, 2, 1, 3]) feed.add(login(seq), now);
  t.same(sequences(feed), [3, 2, 1]);
  t.equal(feed.add(login(3), now), null);
  t.ok(feed.add(login(3, 2), now), 'the same number of another user is another notification');
  t.equal(feed.entries[0]?.atMs, now + 3000, 'at its own time');
});

t.test('what is for everybody is one notification whoever reads it, numbered apart from one’s own', async (t) => {
  const feed = new Feed(1);
  const broadcast = (seq: number): Notification => ({ type: 'app.news', user_id: null, broadcast_seq: seq, cursor: `b${seq}` });
  feed.add(login(1), now);
  t.ok(feed.add(broadcast(1), now));
  t.equal(feed.add(broadcast(1), now), null);
  t.ok(feed.add(broadcast(2), now));
  t.equal(feed.cursor, 'b2');
  t.equal(feed.seq, 1, 'and moves nothing of theirs');
  const restored = Feed.restore(1, JSON.parse(JSON.stringify(feed.save())));
  t.equal(restored.add(broadcast(2), now), null, 'also after a reload');
});

t.test('without seq nothing tells two apart: both are shown, at the time of arrival', async (t) => {
  const feed = new Feed(0);
  const plain: Notification = { type: 'user.login', status: 'success', user_id: 1, message: 'Utilisateur connecté' };
  t.ok(feed.add(plain, now));
  t.ok(feed.add(plain, now));
  t.equal(feed.entries.length, 2);
  t.equal(new Set(feed.entries.map(({ key }) => key)).size, 2);
  t.equal(feed.entries[0]?.atMs, now);
  t.equal(feed.add({ ...plain, time: 'not a time' }, now)?.atMs, now);
});

t.test('the list is bounded, and what fell off the end is still known', async (t) => {
  const feed = new Feed(1);
  for (let seq = 1; seq <= FEED_LIMIT; seq += 1) feed.add(login(seq), now);
  t.equal(feed.entries.length, FEED_LIMIT);
  feed.add(login(FEED_LIMIT + 1), now);
  t.equal(feed.entries.length, FEED_LIMIT);
  t.equal(feed.add(login(1), now), null);
});

t.test('what is remembered against repeats is bounded, oldest forgotten first', async (t) => {
  const feed = new Feed(1, { limit: 2, seenLimit: 3 });
  for (const seq of [1, 2, 3, 4]) feed.add(login(seq), now);
  t.equal(feed.add(login(2), now), null);
  t.ok(feed.add(login(1), now));
});

t.test('the cursor follows the notifications', async (t) => {
  const feed = new Feed(1);
  t.equal(feed.cursor, null);
  feed.startFrom('from-connected', 4);
  t.equal(feed.cursor, 'from-connected');
  feed.add(login(5), now);
  t.equal(feed.cursor, 'cursor-1-5');
  t.equal(feed.seq, 5);
});

t.test('a gap is a line of its own, and numbers from before it prove nothing', async (t) => {
  const feed = new Feed(1);
  for (const seq of [1, 2]) feed.add(login(seq), now);
  feed.addGap('unknown_cursor', now);
  feed.startFrom('anew', 0);
  feed.add(login(1), now);
  t.same(sequences(feed), [1, 'unknown_cursor', 2, 1]);
});

t.test('a reload goes on exactly where it was', async (t) => {
  const feed = new Feed(1);
  for (const seq of [1, 2, 3]) feed.add(login(seq), now);
  feed.addGap('limit', now);
  feed.startFrom('after-gap', 7);
  feed.add(login(8), now);
  const restored = Feed.restore(1, JSON.parse(JSON.stringify(feed.save())));
  t.same(sequences(restored), [8, 'limit', 3, 2, 1]);
  t.equal(restored.cursor, 'cursor-1-8');
  t.equal(restored.seq, 8);
  t.equal(restored.add(login(8), now), null, 'a repeat is still a repeat');
  t.ok(restored.add(login(9), now));
});

t.test('what another user left, or nobody can read, is not taken', async (t) => {
  const saved = new Feed(1).save();
  for (const bad of [
    { ...saved, userId: 2 }, { ...saved, cursor: 5 }, { ...saved, entries: 'x' }, { ...saved, entries: [null] },
    { ...saved, entries: [{ key: 'k', kind: 'notification', atMs: 1 }] },
    { ...saved, entries: [{ key: 'k', kind: 'gap', atMs: 1 }] }, { ...saved, seq: null }, null, 'x', 3, [],
  ]) {
    const feed = Feed.restore(1, bad);
    t.equal(feed.entries.length, 0);
    t.equal(feed.cursor, null);
    t.equal(feed.userId, 1);
  }
});

t.test('an expired session keeps its place but not its list', async (t) => {
  const feed = new Feed(1);
  feed.add(login(1), now);
  feed.forgetEntries();
  const restored = Feed.restore(1, feed.save());
  t.equal(restored.entries.length, 0);
  t.equal(restored.cursor, 'cursor-1-1');
});
