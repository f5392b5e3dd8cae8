/**
 * If this breaks: an announcement reaches some and not others, is repeated to who came back, or stops every socket of a
 * node while it is written.
 */
import t from 'tap';
import { BroadcastLog } from '../../src/hub/broadcast-log.ts';
import type { HubEvent, Stand } from '../../src/hub/ports.ts';
import { admission, event, HubWorld, openConnection } from './fixtures.ts';

let position = 1_000;

/** A broadcast that is sent as `<variant> b/<seq> <user>.<seq of the user>.<broadcast seq>`: what its cursor names. */
function broadcast(seq: number, bytes = 0): HubEvent {
  position += 1;
  return {
    userId: null,
    seq,
    bytes,
    position: { sequence: position, eventId: `event-${position}` },
    committedAtMs: 0,
    endedSessions: [],
    frame: (variant, { userId, seq: own, broadcastSeq }: Stand) =>
      Buffer.from(`${variant} b/${seq} ${userId}.${own}.${broadcastSeq}`),
  };
}

const seqsOf = (events: readonly HubEvent[] | string): number[] | string =>
  typeof events === 'string' ? events : events.map(({ seq }) => seq);

t.test('R2 what is for everybody reaches each connection once, with where that one stands', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  const own = openConnection(world);
  const other = openConnection(world, { audience: { kind: 'user', userId: 2 } });
  const plain = openConnection(world, { variant: 'plain', isResumable: false });
  const feed = openConnection(world, { audience: { kind: 'everything' }, variant: 'feed' });
  hub.admit(own.connection, admission(3));
  hub.admit(other.connection, admission(null));
  hub.admit(feed.connection, admission(null));
  const first = broadcast(1);
  hub.publish(first);
  hub.publish(event(1, 4));
  hub.publish(first);
  hub.publish(broadcast(2));
  world.turn();
  t.same(own.port.texts, ['connected', 'own b/1 1.3.1', 'own 1/4', 'own b/2 1.4.2']);
  t.same(other.port.texts, ['connected', 'own b/1 2.0.1', 'own b/2 2.0.2']);
  t.same(plain.port.texts, ['plain b/1 1.0.1', 'plain 1/4', 'plain b/2 1.4.2']);
  t.same(feed.port.texts, ['connected', 'feed b/1 0.0.1', 'feed 1/4', 'feed b/2 0.0.2']);
  t.equal(hub.stats.repeatedEvents, 1);
});

t.test('R4 while a socket joins it waits, and nothing of what the replay brings comes twice', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  for (const seq of [1, 2, 3]) hub.publish(broadcast(seq));
  const { connection, port } = openConnection(world);
  t.equal(connection.lastBroadcastSeq, 3, 'registered behind the third');
  hub.publish(event(1, 8));
  hub.publish(broadcast(4));
  const missed = hub.broadcasts.after(1, 3) as HubEvent[];
  hub.admit(connection, { ...admission(7, [missed[0]!, event(1, 7), missed[1]!]), seq: 6, broadcastSeq: 1 });
  hub.publish(broadcast(5));
  world.turn();
  t.same(port.texts, [
    'connected', 'own b/2 1.6.2', 'own 1/7', 'own b/3 1.7.3', 'own 1/8', 'own b/4 1.8.4', 'own b/5 1.8.5',
  ]);
});

t.test('R4 a client that was further at another node is sent nothing again', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  hub.publish(broadcast(1));
  const { connection, port } = openConnection(world);
  hub.publish(broadcast(2));
  hub.admit(connection, { ...admission(1), broadcastSeq: 3 });
  for (const seq of [3, 4]) hub.publish(broadcast(seq));
  world.turn();
  t.same(port.texts, ['connected', 'own b/4 1.1.4']);
});

t.test('R4 a hole among broadcasts sends away who can resume, and keeps who cannot', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  const own = openConnection(world);
  const plain = openConnection(world, { variant: 'plain', isResumable: false });
  hub.admit(own.connection, admission(1));
  hub.publish(broadcast(1));
  hub.skipBroadcast();
  hub.publish(broadcast(3));
  t.same(own.port.closes, [], 'one that is no event explains a jump of one');
  hub.publish(broadcast(6));
  t.same(own.port.closes.map(({ reason }) => reason), ['resync']);
  world.turn();
  t.same(plain.port.texts, ['plain b/1 1.0.1', 'plain b/3 1.0.3', 'plain b/6 1.0.6']);
  t.equal(hub.broadcasts.after(3, 6), 'evicted', 'and nobody is told that it was all');
});

t.test('R8 a large fan-out leaves turns to others, and nothing overtakes it', async (t) => {
  let nowMs = 0;
  const world = new HubWorld({ clock: { now: () => (nowMs += 0.5) } });
  const { hub } = world;
  const sockets = Array.from({ length: 1_000 }, (_, at) => {
    const socket = openConnection(world, { audience: { kind: 'user', userId: at + 1 } });
    hub.admit(socket.connection, admission(1));
    return socket;
  });
  world.turn();
  hub.publish(broadcast(1));
  const reached = (): number => sockets.filter(({ connection }) => connection.lastBroadcastSeq >= 1).length;
  t.ok(reached() > 0 && reached() < 1_000, `${reached()} in the first slice`);
  hub.publish(event(1_000, 2));
  hub.publish(broadcast(2));
  const late = openConnection(world, { audience: { kind: 'user', userId: 5_000 } });
  hub.admit(late.connection, { ...admission(1), broadcastSeq: late.connection.lastBroadcastSeq });
  let turns = 0;
  for (; world.hasWork; turns += 1) world.turn();
  t.ok(turns > 5, `${turns} turns`);
  const last = sockets.at(-1)!;
  t.same(last.port.texts, ['connected', 'own b/1 1000.1.1', 'own 1000/2', 'own b/2 1000.2.2']);
  const others = sockets.slice(0, -1);
  t.ok(others.every(({ port }) => port.texts.length === 3 && port.texts[1]?.includes('b/1') && port.texts[2]?.includes('b/2')));
  t.same(late.port.texts, ['connected'], 'who came behind both has them by its resume');
  hub.publish(broadcast(3));
  while (world.hasWork) world.turn();
  t.equal(late.port.texts.at(-1), 'own b/3 5000.1.3');
});

t.test('R5 what is kept for those who come back: all, or a reason', async (t) => {
  const log = new BroadcastLog({ eventsMax: 3, bytesMax: 100 });
  t.same(log.after(0, 0), []);
  const events = [1, 2, 3].map((seq) => broadcast(seq, 10));
  for (const one of events) t.equal(log.add(one), 'next');
  t.equal(log.add(events[1]!), 'repeated');
  t.same(seqsOf(log.after(0, 3)), [1, 2, 3], 'as many as may be replayed');
  t.same(seqsOf(log.after(1, 2)), [2], 'up to where the socket was registered');
  t.same(seqsOf(log.after(3, 3)), []);
  t.same(seqsOf(log.afterPosition(events[0]!.position.sequence, 3)), [2, 3]);
  t.same(seqsOf(log.afterPosition(0, 3)), [1, 2, 3]);
  log.add(broadcast(4, 10));
  t.equal(log.after(0, 4), 'limit', 'one more');
  t.equal(log.afterPosition(0, 4), 'limit');
  t.same(seqsOf(log.after(1, 4)), [2, 3, 4]);
  t.same(seqsOf(log.afterPosition(events[0]!.position.sequence, 4)), [2, 3, 4]);
  log.add(broadcast(5, 90));
  t.same(seqsOf(log.after(3, 5)), [4, 5], 'bounded by bytes too');
  t.equal(log.after(2, 5), 'limit');
  log.add(broadcast(6, 101));
  t.equal(log.after(5, 6), 'limit');
  t.same(seqsOf(log.after(6, 6)), []);
});

t.test('R5 what the stream no longer held when the node started is gone', async (t) => {
  const log = new BroadcastLog({ eventsMax: 10, bytesMax: 1_000 });
  log.add(broadcast(7));
  log.skip();
  log.add(broadcast(9));
  t.equal(log.after(5, 9), 'evicted');
  t.same(seqsOf(log.after(6, 9)), [7, 9]);
  t.same(seqsOf(log.after(7, 9)), [9]);
  const [before] = log.afterPosition(0, 9) as HubEvent[];
  t.equal(before?.seq, 7, 'behind a place that is proved there is all that was held');
  log.logChanged();
  t.equal(log.afterPosition(0, 9), 'evicted', 'places in another log prove nothing');
  t.same(seqsOf(log.after(7, 9)), [9], 'numbers do');
});
