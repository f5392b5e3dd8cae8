/**
 * If this breaks: readers of everything get events twice, behind what came after them, or not at all, because what they
 * are due waits for its turn; or a fan-out to thousands of them holds up everybody else.
 */
import { closeCodes } from '@infrasignal/shared';
import t from 'tap';
import type { Connection } from '../../src/hub/connection.ts';
import type { Frame, HubEvent } from '../../src/hub/ports.ts';
import { admission, event, HubWorld, openConnection, RecordingPort } from './fixtures.ts';

const EVERYTHING = { kind: 'everything' } as const;

/** Notes which arrays it was given. */
class ArrayPort extends RecordingPort {
  readonly arrays: (readonly Frame[])[] = [];

  override write(frames: readonly Frame[]): void {
    this.arrays.push(frames);
    super.write(frames);
  }
}

/** A reader of everything that has been let in and greeted. */
function openReader(world: HubWorld, port = new ArrayPort()): { port: ArrayPort; connection: Connection } {
  const { connection } = openConnection(world, { audience: EVERYTHING, variant: 'feed', sessionId: 'session', port });
  world.hub.admit(connection, admission(null));
  world.turn();
  port.writes.length = 0;
  port.arrays.length = 0;
  return { port, connection };
}

const broadcast = (seq: number): HubEvent => ({ ...event(0, seq), userId: null });

t.test('R2 readers of everything are given the same array, and the others of their kind the same again', async (t) => {
  const world = new HubWorld();
  const [one, other] = [openReader(world), openReader(world)];
  const plain = new ArrayPort();
  openConnection(world, { audience: EVERYTHING, variant: 'plain', isResumable: false, port: plain });
  const events = [event(1, 1), event(2, 1)];
  for (const each of events) world.hub.publish(each);
  t.equal(one.port.writes.length, 0, 'not before the turn');
  t.equal(world.hub.unsentBytes.due, 8 * 4 + 9 * 2, 'what waits is known');
  world.turn();
  t.same(one.port.writes, [['feed 1/1', 'feed 2/1']], 'in one write');
  t.equal(one.port.arrays[0], other.port.arrays[0], 'a port can join them once for both');
  t.same(plain.writes, [['plain 1/1', 'plain 2/1']]);
  t.same([world.hub.stats.delivered, world.hub.stats.writes - 2, world.hub.unsentBytes.due], [6, 3, 0]);
});

t.test('R2 whatever else a reader is sent, or that it is closed, comes behind the events before it', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  const { port, connection } = openReader(world);
  hub.publish(event(1, 1));
  hub.send(connection, Buffer.from('pong'));
  hub.publish(event(1, 2));
  hub.publish(broadcast(1));
  hub.publish(event(1, 3));
  hub.publish({ ...event(2, 1), endedSessions: ['session'] });
  world.turn();
  t.same(port.texts, ['feed 1/1', 'pong', 'feed 1/2', 'feed 0/1', 'feed 1/3', 'feed 2/1']);
  t.same(port.closes, [closeCodes.sessionRevoked], 'behind the event that says so');
  t.equal(hub.stats.repeatedDeliveries, 0);
});

t.test('R4 who comes between an event and its turn is not sent it; who is joining keeps it', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  openReader(world);
  const joining = openConnection(world, { audience: EVERYTHING, variant: 'feed' });
  hub.publish(event(1, 1));
  const late = openReader(world);
  hub.publish(event(1, 2));
  hub.admit(joining.connection, admission(null));
  hub.publish(event(1, 3));
  world.turn();
  t.same(late.port.texts, ['feed 1/2', 'feed 1/3']);
  t.same(joining.port.texts, ['connected', 'feed 1/1', 'feed 1/2', 'feed 1/3']);
});

t.test('R4 what a reader has from ahead of this node is not sent again, also when the log changes', async (t) => {
  const world = new HubWorld();
  const { hub } = world;
  const { connection, port } = openConnection(world, { audience: EVERYTHING, variant: 'feed' });
  const [first, second, third, fourth] = [event(1, 1), event(2, 1), event(1, 2), event(2, 2)];
  hub.admit(connection, admission(null, [], second.position.sequence));
  for (const each of [first, second, third]) hub.publish(each);
  hub.logChanged();
  hub.publish(fourth);
  world.turn();
  t.same(port.texts, ['connected', 'feed 1/2', 'feed 2/2']);
  t.same(port.closes, []);
});

t.test('R8 what is due together and more than a reader may leave unread closes it, and no other', async (t) => {
  const world = new HubWorld();
  const [quick, slow] = [openReader(world), openReader(world)];
  slow.port.isStuck = true;
  for (const seq of [1, 2, 3]) {
    world.hub.publish(event(1, seq, 400));
    world.turn();
  }
  t.same([quick.port.texts.length, slow.port.texts.length], [3, 2]);
  t.same([quick.port.closes, slow.port.closes], [[], [closeCodes.slow]]);
  for (const seq of [4, 5, 6]) world.hub.publish(event(1, seq, 400));
  world.turn();
  t.same(quick.port.closes, [closeCodes.slow], 'in one turn as well: 1,200 bytes were due, 1,000 may be');
});

t.test('R9 a round through many leaves turns, and half of each to what is due to single ones', async (t) => {
  let nowMs = 0;
  const written: string[] = [];
  const world = new HubWorld({
    clock: { now: () => (nowMs += 1) },
    timings: {
      written: ({ userId, seq }) => written.push(`${userId}/${seq}`),
      revoked: () => undefined,
    },
  });
  const readers = Array.from({ length: 400 }, () => openReader(world));
  const own = openConnection(world, { variant: 'plain', isResumable: false });
  world.hub.publish(event(1, 1));
  const hasAll = (count: number): number => readers.filter(({ port }) => port.texts.length === count).length;
  world.turn();
  t.same(own.port.texts, ['plain 1/1'], 'it does not wait for 400 others');
  t.ok(hasAll(1) > 0 && hasAll(1) < 400, 'some, not all');
  world.hub.publish(event(1, 2));
  world.turn();
  t.same(own.port.texts, ['plain 1/1', 'plain 1/2']);
  t.equal(written.length, 0, 'told of when everybody has it');
  while (world.hasWork) world.turn();
  t.equal(hasAll(2), 400);
  t.same(new Set(readers.map(({ port }) => port.texts.join())), new Set(['feed 1/1,feed 1/2']));
  t.same(written, ['1/1', '1/2'], 'each once');
  t.equal(world.hub.unsentBytes.due, 0);
});
