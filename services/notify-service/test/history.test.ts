/**
 * If this breaks: a client that shows past notifications leaves some out, shows some twice or somebody else's, or is not
 * told that older ones are gone.
 */
import { encodeFeedCursor, encodeOwnCursor, EVENTS_STREAM_NAME, type NotificationFrame } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import t, { type Test } from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket } from './support/socket-client.ts';

interface Page {
  readonly notifications: (NotificationFrame & { readonly broadcast_seq?: number })[];
  readonly cursor: string;
  readonly has_more: boolean;
  readonly evicted: boolean;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

function ask(url: string, token: string | null, query: Record<string, string> | string = {}): Promise<Response> {
  const text = typeof query === 'string' ? query : new URLSearchParams(query).toString();
  const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
  return fetch(`${url}/api/notifications/?${text}`, { headers });
}

async function getPage(t: Test, url: string, token: string | null, query: Record<string, string> = {}): Promise<Page> {
  const response = await ask(url, token, query);
  t.equal(response.status, 200, JSON.stringify(query));
  return (await response.json()) as Page;
}

async function getAll(t: Test, url: string, token: string, query: Record<string, string> = {}): Promise<Page[]> {
  const pages = [await getPage(t, url, token, query)];
  while (pages.at(-1)!.has_more) pages.push(await getPage(t, url, token, { ...query, after: pages.at(-1)!.cursor }));
  return pages;
}

function seqsOf(pages: readonly Page[]): number[] {
  return pages.flatMap(({ notifications }) => notifications.map(({ seq }) => seq));
}

/** Found in memory, or read from the stream where memory does not reach: the answers are the same. */
async function checkPages(t: Test, recentEventsMax: string): Promise<void> {
  const world = await startWorld(t);
  const { issuer, publisher } = world;
  const { app, url } = await startNotify(t, world, { RECENT_EVENTS_MAX: recentEventsMax });
  const token = issuer.token(1);
  const sent: { id: string; position: number }[] = [];
  const publish = async (userId: number, count: number): Promise<void> => {
    for (let at = 0; at < count; at += 1) sent.push(await publisher.publish(userId));
  };
  const isRead = (): Promise<unknown> => waitFor(() => app.eventConsumer.readThrough >= sent.at(-1)!.position);
  const socket = await connectSocket(url, { token });
  for (let at = 0; at < 12; at += 1) {
    await publish(1, 10);
    await publish(2, 3);
  }
  await isRead();

  await t.test('pages follow each other without a hole or a repetition, as sockets were told', async (t) => {
    const pages = await getAll(t, url, token);
    t.same(pages.map(({ notifications }) => notifications.length), [50, 50, 20]);
    t.same(seqsOf(pages), range(1, 120));
    t.ok(pages.every(({ evicted }) => !evicted));
    await socket.waitForNotifications(120);
    t.same(pages.flatMap(({ notifications }) => notifications), socket.notifications, 'the very same notifications');
    for (const limit of ['1', '7', '100']) t.same(seqsOf(await getAll(t, url, token, { limit, after: '90' })), range(91, 120));
    const after = socket.notifications[79]!.cursor;
    t.same(seqsOf(await getAll(t, url, token, { after })), range(81, 120), 'a socket’s cursor');
    t.same(seqsOf(await getAll(t, url, token, { after: socket.connected.cursor })), range(1, 120));
  });

  await t.test('where the pages end, a socket goes on', async (t) => {
    const last = (await getAll(t, url, token, { after: '100' })).at(-1)!;
    const empty = await getPage(t, url, token, { after: last.cursor });
    t.match(empty, { notifications: [], has_more: false, evicted: false });
    for (const after of [last.cursor, empty.cursor]) {
      const client = await connectSocket(url, { token, after });
      t.match(client.connected, { recovered: true, seq: 120 });
      client.close();
    }
    const first = await getPage(t, url, token, { limit: '100' });
    const client = await connectSocket(url, { token, after: first.cursor });
    await client.waitForNotifications(20);
    t.same(client.seqs, range(101, 120), 'also in the middle');
    client.close();
  });

  await t.test('what is for everybody is in its place', async (t) => {
    await publisher.broadcast();
    await publish(1, 2);
    await publisher.broadcast();
    sent.push(await publisher.broadcast());
    await isRead();
    const names = (pages: readonly Page[]): string[] =>
      pages.flatMap(({ notifications }) => notifications.map(({ seq, broadcast_seq: b }) => (b === undefined ? `${seq}` : `b${b}`)));
    const expected = ['b1', '121', '122', 'b2', 'b3'];
    t.same(names(await getAll(t, url, token, { after: socket.notifications[119]!.cursor })), expected);
    t.same(names(await getAll(t, url, token, { after: socket.notifications[119]!.cursor, limit: '1' })), expected);
    await socket.waitForNotifications(125);
    const after = socket.notifications[121]!.cursor;
    t.same(names(await getAll(t, url, token, { after, limit: '2' })), expected.slice(2));
    t.same(names(await getAll(t, url, issuer.token(77))), ['b1', 'b2', 'b3'], 'and all that is left to some');
    await publish(78, 1);
    sent.push(await publisher.broadcast());
    await isRead();
    t.same(names(await getAll(t, url, issuer.token(78))), ['1', 'b4'], 'who registered later was not told before');
    const fresh = await getPage(t, url, issuer.token(77));
    const client = await connectSocket(url, { token: issuer.token(77), after: fresh.cursor });
    t.match(client.connected, { recovered: true });
    client.close();
  });

  await t.test('the scope for everything brings everything', async (t) => {
    const staff = issuer.token(9, { claims: { scope: 'notifications:all' } });
    const pages = await getAll(t, url, staff, { limit: '100' });
    const ids = pages.flatMap(({ notifications }) => notifications.map(({ id }) => id));
    t.equal(ids.length, 12 * 13 + 7);
    t.equal(new Set(ids).size, ids.length);
    const middle = sent[60]!;
    const after = encodeFeedCursor({ sequence: middle.position, eventId: middle.id });
    const rest = await getAll(t, url, staff, { after });
    t.same(rest.flatMap(({ notifications }) => notifications.map(({ id }) => id)), ids.slice(61));
    const client = await connectSocket(url, { token: staff, after: rest.at(-1)!.cursor });
    t.match(client.connected, { recovered: true });
    client.close();
    for (const wrong of [encodeFeedCursor({ sequence: middle.position, eventId: sent[0]!.id }), encodeFeedCursor({ sequence: 9_999, eventId: middle.id }), '3', 'x']) {
      t.equal((await ask(url, staff, { after: wrong })).status, 400, wrong);
    }
    t.equal((await ask(url, token, { after })).status, 400, 'and is nothing in one’s own');
  });
  socket.close();
}

t.test('R4 the history, from memory', (t) => checkPages(t, '20000'));
t.test('R4 the history, from the stream', (t) => checkPages(t, '1'));

t.test('R5 the history says what is gone', async (t) => {
  const world = await startWorld(t);
  const { issuer, publisher } = world;
  const manager = await jetstreamManager(publisher.connection);
  await manager.streams.update(EVENTS_STREAM_NAME, { max_msgs: 10 });
  const { app, url } = await startNotify(t, world, { RECENT_EVENTS_MAX: '1' });
  const token = issuer.token(1);
  const events = await publisher.publishMany(1, 15);
  // A page ends where the node has read to, which may be a moment behind what the broker has stored.
  await waitFor(() => app.eventConsumer.readThrough >= events.at(-1)!.position);
  for (const after of [undefined, '0', '2', encodeOwnCursor(1, 2, { sequence: events[1]!.position, eventId: events[1]!.id })]) {
    const pages = await getAll(t, url, token, { limit: '6', ...(after === undefined ? {} : { after }) });
    t.same(seqsOf(pages), range(6, 15));
    t.same(pages.map(({ evicted }) => evicted), [true, false], 'on the page on which it is missing');
  }
  t.match(await getPage(t, url, token, { after: '5' }), { evicted: false, has_more: false });
  const staff = issuer.token(9, { claims: { scope: 'notifications:all' } });
  for (const after of [undefined, encodeFeedCursor({ sequence: 1, eventId: events[0]!.id })]) {
    const page = await getPage(t, url, staff, after === undefined ? {} : { after });
    t.match(page, { evicted: true, has_more: false });
    t.same(seqsOf([page]), range(6, 15));
  }
  await publisher.publishMany(2, 10);
  const { url: newcomer } = await startNotify(t, world);
  const gone = await getPage(t, newcomer, token, { after: '3' });
  t.match(gone, { notifications: [], has_more: false, evicted: true }, 'nothing is left of this user');
  const client = await connectSocket(newcomer, { token, after: gone.cursor });
  await publisher.publish(1);
  await client.waitForNotifications(1);
  client.close();
});

t.test('R3 the history: who may ask, and what', async (t) => {
  const world = await startWorld(t);
  const { issuer, nats, publisher } = world;
  const { app, url } = await startNotify(t, world);
  const [event] = await publisher.publishMany(1, 3);
  await publisher.publishMany(2, 3);
  await waitFor(() => app.eventConsumer.readThrough >= 6);
  const sid = '5c8d6c3e-92f3-4a53-9d8f-6c1a4a6f0b11';
  const token = issuer.token(1, { claims: { sid } });

  const good = await ask(url, token);
  t.equal(good.headers.get('cache-control'), 'no-store');
  t.match(good.headers.get('content-type'), /^application\/json/);
  const head = await fetch(`${url}/api/notifications`, { method: 'HEAD', headers: { authorization: `Bearer ${token}` } });
  t.equal(head.status, 200);

  const foreign = encodeOwnCursor(2, 1, { sequence: 4, eventId: event!.id });
  const cursors = ['-1', '9223372036854775808', '9007199254740992', 'abc', '', '1.5', '4', foreign, '1'.repeat(200), 'a1.0.0'];
  const refused: [string, string, string | null][] = [
    ...cursors.map((after): [string, string, string] => [new URLSearchParams({ after }).toString(), 'unknown_cursor', token]),
    ['after=1&after=2', 'unknown_cursor', token],
    ...['0', '101', '-1', '1.5', 'ten', '', '1e1', '0x10', '١'].map((limit): [string, string, string] => [
      new URLSearchParams({ limit }).toString(),
      'invalid_request',
      token,
    ]),
    ['limit=1&limit=2', 'invalid_request', token],
    ['before=3', 'invalid_request', token],
    ['token=x', 'token_in_query', token],
  ];
  for (const [query, code, token] of refused) {
    const response = await ask(url, token, query);
    t.equal(response.status, 400, query);
    t.match(response.headers.get('content-type'), /^application\/problem\+json/);
    t.match(await response.json(), { code }, query);
  }
  for (const query of ['limit=1', 'limit=100', 'after=3', 'after=0']) t.equal((await ask(url, token, query)).status, 200, query);

  const strangers = [null, 'x', issuer.token(1, { claims: { exp: 1_000 } }), issuer.token(1, { claims: { token_type: 'refresh' } })];
  for (const stranger of strangers) {
    const response = await ask(url, stranger);
    t.equal(response.status, 401);
    t.match(response.headers.get('www-authenticate'), /^Bearer/);
  }
  const headers = { authorization: `Bearer ${token}`, origin: 'https://evil.example' };
  t.equal((await fetch(`${url}/api/notifications/`, { headers })).status, 403);
  app.hub.revoke(sid);
  t.equal((await ask(url, token)).status, 401, 'a session that has ended');

  const open = await startNotify(t, world, { DEBUG: 'true' });
  t.equal((await getPage(t, open.url, null)).notifications.length, 6, 'DEBUG’s public feed has a past, too');

  await nats.kill();
  await waitFor(async () => (await ask(url, issuer.token(1))).status === 503);
  t.equal((await ask(url, issuer.token(1))).headers.get('retry-after'), '1');
});
