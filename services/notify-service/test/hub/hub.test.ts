/**
 * If this breaks: sockets get events twice, out of order, of other users, or not at all; or one slow reader's backlog
 * fills the memory that all share.
 */
import { closeCodes } from '@infrasignal/shared';
import t from 'tap';
import type { ConnectionOptions, Connection } from '../../src/hub/connection.ts';
import { admission, event, HubWorld, openConnection as open, type RecordingPort } from './fixtures.ts';

function openPlain(world: HubWorld, changes: Partial<ConnectionOptions> = {}): { port: RecordingPort; connection: Connection } {
  return open(world, { variant: 'plain', isResumable: false, ...changes });
}

const EVERYTHING = { kind: 'everything' } as const;

t.test('R2 an event goes to its user’s sockets and to the feed of everything, each in its form', async (t) => {
  const world = new HubWorld();
  const own = open(world);
  const plain = openPlain(world);
  const other = openPlain(world, { audience: { kind: 'user', userId: 2 } });
  const feed = open(world, { audience: EVERYTHING, variant: 'feed' });
  world.hub.admit(own.connection, admission(0));
  world.hub.admit(feed.connection, admission(null));
  world.hub.publish(event(1, 1));
  world.hub.publish(event(2, 1));
  world.turn();
  t.same(own.port.texts, ['connected', 'own 1/1']);
  t.same(plain.port.texts, ['plain 1/1']);
  t.same(other.port.texts, ['plain 2/1']);
  t.same(feed.port.texts, ['connected', 'feed 1/1', 'feed 2/1']);
});

t.test('R4 while joining events are kept; then greeting, replay, and what the replay did not bring', async (t) => {
  const world = new HubWorld();
  const { port, connection } = open(world);
  for (const seq of [4, 5, 6]) world.hub.publish(event(1, seq));
  world.turn();
  t.same(port.texts, [], 'nothing before the greeting');
  world.hub.admit(connection, admission(5, [event(1, 3), event(1, 4), event(1, 5)]));
  world.hub.publish(event(1, 7));
  world.turn();
  t.same(port.texts, ['connected', 'own 1/3', 'own 1/4', 'own 1/5', 'own 1/6', 'own 1/7']);
  t.equal(port.writes.length, 1, 'in one write');
  world.hub.admit(connection, admission(0, [event(1, 1)]));
  world.turn();
  t.equal(port.texts.length, 6, 'it is let in once');
});

t.test('R4 with the last seq unknown, the first live one is accepted, then each must follow', async (t) => {
  const world = new HubWorld();
  const { port, connection } = open(world);
  world.hub.admit(connection, admission(null));
  world.hub.publish(event(1, 17));
  world.hub.publish(event(1, 18));
  world.hub.publish(event(1, 20));
  world.turn();
  t.same(port.texts, ['connected', 'own 1/17', 'own 1/18']);
  t.same(port.closes, [closeCodes.resync]);
});

t.test('R4 an event that comes again is dropped, whatever its position; an explained jump is no hole', async (t) => {
  const world = new HubWorld();
  const own = open(world);
  const feed = openPlain(world, { audience: EVERYTHING });
  world.hub.admit(own.connection, admission(0));
  for (const seq of [1, 2, 3, 2, 3, 1]) world.hub.publish(event(1, seq));
  world.hub.skip(1);
  world.hub.skip(1);
  world.hub.publish(event(1, 6));
  world.turn();
  t.same(own.port.texts.slice(1), ['own 1/1', 'own 1/2', 'own 1/3', 'own 1/6']);
  t.same(feed.port.texts, ['plain 1/1', 'plain 1/2', 'plain 1/3', 'plain 1/6']);
  t.equal(world.hub.stats.repeatedEvents, 3);
  world.hub.skip(1);
  world.hub.publish(event(1, 9));
  t.same(own.port.closes, [closeCodes.resync], 'one place explains a jump over one');
});

t.test('R4 events gone from the log: those who cannot tell for themselves resync', async (t) => {
  const world = new HubWorld();
  const knowing = open(world);
  const unknowing = open(world);
  const feed = open(world, { audience: EVERYTHING, variant: 'feed' });
  const joining = open(world);
  const plain = openPlain(world);
  world.hub.admit(knowing.connection, admission(3));
  world.hub.admit(unknowing.connection, admission(null));
  world.hub.admit(feed.connection, admission(null));
  world.hub.resync();
  for (const { port } of [unknowing, feed, joining]) t.same(port.closes, [closeCodes.resync]);
  for (const { port } of [knowing, plain]) t.same(port.closes, []);
});

t.test('R4 a feed that is ahead of this node is not sent what it has', async (t) => {
  const world = new HubWorld();
  const { port, connection } = open(world, { audience: EVERYTHING, variant: 'feed' });
  const [first, second, third] = [event(1, 1), event(2, 1), event(3, 1)];
  world.hub.publish(first);
  world.hub.admit(connection, admission(null, [], second.position.sequence));
  world.hub.publish(second);
  world.hub.publish(third);
  world.turn();
  t.same(port.texts, ['connected', 'feed 3/1']);
});

t.test('R4 when positions change their meaning, joins in flight start over', async (t) => {
  const world = new HubWorld();
  const joining = open(world);
  const live = open(world);
  world.hub.admit(live.connection, admission(0));
  world.hub.logChanged();
  t.same(joining.port.closes, [closeCodes.resync]);
  t.same(live.port.closes, []);
});

t.test('a frame is made once per form, and what is due together is one write', async (t) => {
  const world = new HubWorld();
  const ports = Array.from({ length: 10 }, () => openPlain(world).port);
  const events = Array.from({ length: 10 }, (_, at) => event(1, at + 1));
  for (const each of events) world.hub.publish(each);
  world.turn();
  for (const each of events) t.same([...each.made], [['plain', 1]]);
  for (const port of ports) t.equal(port.writes.length, 1);
  t.match(world.hub.stats, { writes: 10, framesWritten: 100, delivered: 100 });
});

t.test('a large fan-out is written in slices', async (t) => {
  const world = new HubWorld();
  const ports = Array.from({ length: 1_000 }, () => openPlain(world).port);
  for (const port of ports) port.write = () => (world.nowMs += 0.1);
  const written = (): number => world.hub.stats.writes;
  world.hub.publish(event(1, 1));
  let turns = 0;
  for (; world.hasWork; turns += 1) {
    const before = written();
    world.turn();
    t.ok(written() - before <= 64, 'about five milliseconds at a time');
  }
  t.equal(written(), 1_000);
  t.ok(turns >= 15);
});

t.test('R8 a reader that does not read is closed at the limit, not before and not after', async (t) => {
  const world = new HubWorld({ queueBytesMax: 1_000 });
  const slow = openPlain(world);
  const quick = openPlain(world);
  slow.port.isStuck = true;
  for (let seq = 1; seq <= 10; seq += 1) {
    world.hub.publish(event(1, seq, 100));
    world.turn();
  }
  t.equal(slow.port.unreadBytes, 1_000);
  t.same(slow.port.closes, []);
  world.hub.publish(event(1, 11, 1));
  world.turn();
  t.same(slow.port.closes, [closeCodes.slow]);
  t.equal(slow.port.unreadBytes, 1_000, 'nothing more is piled up');
  world.hub.publish(event(1, 12, 100));
  world.turn();
  t.equal(slow.port.unreadBytes, 1_000);
  t.equal(quick.port.texts.length, 12);
  t.same(quick.port.closes, []);
  world.pass(3_500);
  t.equal(slow.port.isTerminated, true, 'and it is dropped if it does not answer');
});

t.test('R8 within one turn the limit holds as well; a replay is not the reader’s slowness', async (t) => {
  const world = new HubWorld({ queueBytesMax: 1_000 });
  const burst = openPlain(world);
  for (let seq = 1; seq <= 11; seq += 1) world.hub.publish(event(1, seq, 100));
  t.same(burst.port.closes, [closeCodes.slow]);
  const resumed = open(world, { audience: { kind: 'user', userId: 2 } });
  const replay = Array.from({ length: 50 }, (_, at) => event(2, at + 1, 100));
  resumed.port.isStuck = true;
  world.hub.admit(resumed.connection, admission(50, replay));
  world.turn();
  t.same(resumed.port.closes, []);
  t.equal(resumed.port.texts.length, 51);
  for (let seq = 51; seq <= 60; seq += 1) world.hub.publish(event(2, seq, 100));
  t.same(resumed.port.closes, [closeCodes.slow], 'what comes after it is');
});

t.test('R9 who does not answer a ping is closed, and dropped within 40 s of its last sign of life', async (t) => {
  const world = new HubWorld();
  const dead = Array.from({ length: 1_000 }, () => openPlain(world));
  const alive = openPlain(world);
  const aliveConnection = alive.connection;
  let secondsPassed = 0;
  for (; dead.some(({ port }) => !port.isTerminated) && secondsPassed < 60; secondsPassed += 1) {
    world.pass(1_000);
    world.hub.heard(aliveConnection);
  }
  t.ok(secondsPassed <= 40, `${secondsPassed} s`);
  for (const { port } of dead) t.same(port.closes, [closeCodes.pongTimeout]);
  t.same(alive.port.closes, []);
  for (const { connection } of dead) world.hub.closed(connection, 1006);
  t.equal(world.hub.size, 1);
  t.equal(world.wheel.size, 1, 'one timer left: the next ping of the one that lives');
  world.pass(100_000);
});

t.test('R9 pings come every 25 s, from the first one on, and not for all sockets at once', async (t) => {
  const world = new HubWorld();
  const sockets = Array.from({ length: 64 }, () => open(world));
  const firstAt = new Set<number>();
  for (let second = 0; second < 26; second += 1) {
    for (const { port, connection } of sockets) {
      if (port.probes === 1) firstAt.add(second);
      world.hub.heard(connection);
    }
    world.pass(1_000);
  }
  t.ok(sockets.every(({ port }) => port.probes >= 1));
  t.ok(firstAt.size > 5);
  const before = sockets[0]!.port.probes;
  for (let second = 0; second < 250; second += 1) {
    for (const { connection } of sockets) world.hub.heard(connection);
    world.pass(1_000);
  }
  const pings = sockets[0]!.port.probes - before;
  t.ok(pings >= 9 && pings <= 10, `${pings} pings in 250 s`);
});

t.test('R6 when the token expires the socket is warned, and closed then, not before', async (t) => {
  const world = new HubWorld({ pingIntervalMs: 1_000_000 });
  const { port, connection } = open(world, { expiry: { inMs: 40_000, warning: () => Buffer.from('expiring') } });
  world.hub.admit(connection, admission(0));
  world.pass(9_900);
  world.turn();
  t.same(port.texts, ['connected']);
  world.pass(700);
  world.turn();
  t.same(port.texts, ['connected', 'expiring']);
  world.pass(29_300);
  t.same(port.closes, []);
  world.pass(700);
  t.same(port.closes, [closeCodes.tokenExpired]);
  const expired = open(world, { expiry: { inMs: -5, warning: () => Buffer.from('expiring') } });
  world.pass(500);
  t.same(expired.port.closes, [closeCodes.tokenExpired]);
  t.same(expired.port.texts, []);
});

t.test('R6 a renewal moves both the warning and the end', async (t) => {
  const world = new HubWorld({ pingIntervalMs: 1_000_000 });
  const { port, connection } = open(world, { expiry: { inMs: 40_000, warning: () => Buffer.from('first') } });
  world.hub.admit(connection, admission(0));
  world.pass(5_000);
  world.hub.renew(connection, { inMs: 100_000, warning: () => Buffer.from('second') });
  world.pass(69_900);
  world.turn();
  t.same(port.texts, ['connected'], 'the first warning is off');
  world.pass(700);
  world.turn();
  t.same(port.texts, ['connected', 'second']);
  world.pass(30_000);
  t.same(port.closes, [closeCodes.tokenExpired]);
  world.hub.renew(connection, { inMs: 100_000, warning: null });
  world.hub.closed(connection, 4401);
  t.equal(world.wheel.size, 0, 'nothing runs for a socket that is gone');
});

t.test('R6 a token that expires while joining: the greeting is still the first frame', async (t) => {
  const world = new HubWorld();
  const { port, connection } = open(world, { expiry: { inMs: 20_000, warning: () => Buffer.from('expiring') } });
  world.pass(1_000);
  world.turn();
  t.same(port.texts, []);
  world.hub.admit(connection, admission(0, [event(1, 1)]));
  world.turn();
  t.same(port.texts, ['connected', 'own 1/1', 'expiring']);
});

t.test('R13 who is sent away hears when to come back if it understands it, behind what was due', async (t) => {
  const world = new HubWorld();
  const gone: Connection[] = [];
  const onGone = (connection: Connection): number => gone.push(connection);
  const v1 = open(world, { onGone });
  const plain = openPlain(world, { onGone });
  world.hub.admit(v1.connection, admission(0));
  world.hub.publish(event(1, 1));
  for (const { connection } of [v1, plain]) world.hub.sendAway(connection, Buffer.from('reconnect'));
  t.same(v1.port.texts, ['connected', 'own 1/1', 'reconnect'], 'behind what was due');
  t.same(plain.port.texts, ['plain 1/1']);
  for (const { port } of [v1, plain]) t.same(port.closes, [closeCodes.goingAway]);
  let isEmpty = false;
  void world.hub.whenEmpty().then(() => (isEmpty = true));
  t.same(gone, []);
  world.hub.closed(v1.connection, 4000);
  world.hub.closed(v1.connection, 4000);
  await Promise.resolve();
  t.equal(isEmpty, false);
  world.hub.closed(plain.connection, 4000);
  await Promise.resolve();
  t.equal(isEmpty, true);
  t.same(gone, [v1.connection, plain.connection], 'each is told once');
  t.same([...world.hub.stats.closesByCode], [[4000, 2]]);
});

t.test('a join that lasts too long does not hoard events', async (t) => {
  const world = new HubWorld();
  const { port } = open(world);
  for (let seq = 1; seq <= 10_000; seq += 1) world.hub.publish(event(1, seq));
  t.same(port.closes, []);
  world.hub.publish(event(1, 10_001));
  t.same(port.closes, [closeCodes.resync]);
});
