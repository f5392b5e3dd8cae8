/**
 * If this breaks: when a node or a network comes back, every client asks the broker for itself; the broker slows down
 * for all, and the return of ten thousand clients takes minutes instead of seconds.
 */
import t, { type Test } from 'tap';
import type { FastifyInstance } from 'fastify';
import type { BrokerRead } from '../src/relay/read-stats.ts';
import { startNotify, startWorld, type World } from './support/notify.ts';
import { connectSocket, type SocketClient } from './support/socket-client.ts';

const USERS = Array.from({ length: 250 }, (_, at) => at + 1);
const SOCKETS_PER_USER = 8;
const SOCKETS = USERS.length * SOCKETS_PER_USER;

/** Clients that keep their cursors while they are away. */
interface Seat {
  readonly userId: number;
  readonly token: string;
  readonly after: string | undefined;
}

function publishToAll({ publisher }: World): Promise<unknown> {
  return Promise.all(USERS.map((userId) => publisher.publish(userId)));
}

/** Handshakes under way at once: this process makes both ends of them, and no longer wait than a server allows. */
const AT_ONCE = 100;

async function connectAll(url: string, seats: readonly Seat[]): Promise<SocketClient[]> {
  const clients: SocketClient[] = [];
  for (let from = 0; from < seats.length; from += AT_ONCE) {
    const connecting = seats.slice(from, from + AT_ONCE).map(({ token, after }) => {
      return connectSocket(url, { token, ...(after === undefined ? {} : { after }) });
    });
    clients.push(...(await Promise.all(connecting)));
  }
  return clients;
}

async function leaveAll(seats: readonly Seat[], clients: readonly SocketClient[]): Promise<Seat[]> {
  const left = seats.map(({ userId, token }, at) => ({ userId, token, after: clients[at]!.cursor }));
  for (const client of clients) client.socket.terminate();
  await Promise.all(clients.map((client) => client.waitForClose()));
  return left;
}

async function checkReplays(t: Test, clients: readonly SocketClient[], expected: readonly number[]): Promise<void> {
  await Promise.all(clients.map((client) => client.waitForNotifications(expected.length, 60_000)));
  const wrong = clients.filter(({ connected, seqs }) => !connected.recovered || String(seqs) !== String(expected));
  t.equal(wrong.length, 0, `all ${clients.length} have ${expected.length} events, whole and in order`);
}

async function checkReceived(t: Test, clients: readonly SocketClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.waitForNotifications(1, 60_000)));
  t.ok(clients.every(({ seqs }) => String(seqs) === '1'), 'all have the first event');
}

function readsOf(app: FastifyInstance): Record<BrokerRead | 'all', number> {
  const { brokerReads } = app.sharedReader.stats;
  const count = (read: BrokerRead): number => brokerReads.get(read) ?? 0;
  const counts = { at: count('at'), newest: count('newest'), next: count('next'), batch: count('batch'), state: 0 };
  return { ...counts, all: counts.at + counts.newest + counts.next + counts.batch };
}

/** A consumer that is opened anew reads as well: if a check of reads fails, this tells whose they were. */
function commentEpochEnds(t: Test, app: FastifyInstance): void {
  t.comment(`consumers given up: ${JSON.stringify([...app.eventConsumer.stats.epochEnds])}`);
}

t.test('R4 a storm of resumes asks the broker far less than once per client', async (t) => {
  const world = await startWorld(t);
  const { issuer, publisher } = world;
  const { url, app } = await startNotify(t, world);
  await publishToAll(world);
  const tokens = USERS.map((userId) => issuer.token(userId));
  let seats: Seat[] = USERS.flatMap((userId, at) =>
    Array.from({ length: SOCKETS_PER_USER }, () => ({ userId, token: tokens[at]!, after: undefined })),
  );

  await t.test('R4 what passed through this node is known to it, and not asked for', async (t) => {
    const first = await connectAll(url, seats);
    await publishToAll(world);
    await Promise.all(first.map((client) => client.waitForNotifications(1, 60_000)));
    seats = await leaveAll(seats, first);
    await publishToAll(world);
    await publishToAll(world);
    const back = await connectAll(url, seats);
    await checkReplays(t, back, [3, 4]);
    seats = await leaveAll(seats, back);
    const { stats } = app.sharedReader;
    t.ok(readsOf(app).all < SOCKETS / 100, `${readsOf(app).all} reads, for events that this node had yet to read`);
    t.ok(stats.joinsFromMemory > 2 * SOCKETS * 0.99, `${stats.joinsFromMemory} of ${2 * SOCKETS} joins from memory`);
    // The rest of the storm is one of 500: four times as many would prove no more.
    seats = seats.filter((_, at) => at % SOCKETS_PER_USER < 2);
  });

  await t.test('R4 a node that has just started has read the last events before it lets anybody in', async (t) => {
    await publishToAll(world);
    const { url, app } = await startNotify(t, world);
    const before = readsOf(app).all;
    const back = await connectAll(url, seats);
    await checkReplays(t, back, [5]);
    seats = await leaveAll(seats, back);
    t.ok(readsOf(app).all - before < seats.length / 100, `${readsOf(app).all - before} reads`);
  });

  await t.test('R4 a node that remembers nothing asks for the newest event once per user, and for nothing it can do without', async (t) => {
    await publishToAll(world);
    const { url, app } = await startNotify(t, world, { RECENT_EVENTS_MAX: '1' });
    const before = readsOf(app);
    const asked = await connectAll(url, seats);
    await checkReplays(t, asked, [6]);
    commentEpochEnds(t, app);
    const reads = readsOf(app);
    const newest = reads.newest - before.newest;
    t.ok(newest <= USERS.length, `${newest} newest events were asked for`);
    t.ok(reads.next <= seats.length, `${reads.next} missed events were asked for, ${app.sharedReader.stats.merged} together`);
    t.equal(reads.at, before.at, 'no cursor had to be looked up');
    seats = await leaveAll(seats, asked);
    const again = await connectAll(url, seats);
    await checkReplays(t, again, []);
    commentEpochEnds(t, app);
    t.equal(readsOf(app).all, reads.all, 'what was learned is not asked again');
    await leaveAll(seats, again);
  });

  await t.test('R4 that a user has no events is asked once, and counts until there is one', async (t) => {
    const { url, app } = await startNotify(t, world);
    const without = USERS.slice(0, 100).map((userId) => userId + 1_000_000);
    const newcomers = without.map((userId) => ({ userId, token: issuer.token(userId), after: undefined }));
    let seats = await leaveAll(newcomers, await connectAll(url, newcomers));
    const before = readsOf(app).all;
    const back = await connectAll(url, seats);
    await checkReplays(t, back, []);
    const anew = await connectAll(url, newcomers);
    commentEpochEnds(t, app);
    t.equal(readsOf(app).all, before, 'neither with a cursor nor without one');
    await Promise.all(without.map((userId) => publisher.publish(userId)));
    for (const clients of [back, anew]) await checkReceived(t, clients);
    seats = await leaveAll(seats, back);
    await leaveAll(newcomers, anew);
    await Promise.all(without.map((userId) => publisher.publish(userId)));
    await checkReplays(t, await connectAll(url, seats), [2]);
  });

  await t.test('R4 readers of the feed of everything find what they missed in memory', async (t) => {
    const { url, app } = await startNotify(t, world);
    const token = issuer.token(1, { claims: { scope: 'notifications:all' } });
    const seats = Array.from({ length: 100 }, () => ({ userId: 1, token }));
    const first = await connectSocket(url, { token });
    const after = first.cursor;
    first.socket.terminate();
    const missed = 200;
    for (let at = 0; at < missed; at += 50) await Promise.all(USERS.slice(at, at + 50).map((id) => publisher.publish(id)));
    const before = readsOf(app).all;
    const back = await connectAll(url, seats.map((seat) => ({ ...seat, after })));
    await Promise.all(back.map((client) => client.waitForNotifications(missed)));
    const orders = new Set(back.map(({ notifications }) => notifications.map(({ id }) => id).join()));
    t.equal(orders.size, 1, 'the same events in the same order for all');
    const reads = readsOf(app).all - before;
    t.ok(reads < back.length / 10, `${reads} reads for ${back.length} readers of ${missed} events`);
    for (const client of back) client.socket.terminate();
  });
});
