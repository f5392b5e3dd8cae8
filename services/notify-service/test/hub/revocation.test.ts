// If this breaks: a socket outlives the logout that should have closed it, or a logout on one phone silences another.
import { closeCodes } from '@infrasignal/shared';
import t from 'tap';
import { admission, event, HubWorld, openConnection as open } from './fixtures.ts';

t.test('R7 the end of a session is told to its sockets and closes them; the user’s others stay', async (t) => {
  const world = new HubWorld();
  const [first, second] = [open(world, { sessionId: 'one' }), open(world, { sessionId: 'two' })];
  const feed = open(world, { sessionId: 'one', audience: { kind: 'everything' }, variant: 'feed' });
  for (const { connection } of [first, second, feed]) world.hub.admit(connection, admission(0));
  world.hub.publish({ ...event(1, 1), endedSessions: ['one'] });
  world.turn();
  t.strictSame(first.port.texts, ['connected', 'own 1/1'], 'it hears why');
  t.strictSame(first.port.closes, [closeCodes.sessionRevoked]);
  t.strictSame(feed.port.closes, [closeCodes.sessionRevoked], 'also on the feed of everything');
  t.strictSame(second.port.closes, []);
  world.hub.publish(event(1, 2));
  world.turn();
  t.strictSame(first.port.texts.length, 2, 'nothing after the revocation');
  t.strictSame(second.port.texts, ['connected', 'own 1/1', 'own 1/2']);
});

t.test('R7 a session that ended while its socket was being opened or joined gets no socket', async (t) => {
  const world = new HubWorld();
  const joining = open(world, { sessionId: 'one' });
  world.hub.publish({ ...event(1, 1), endedSessions: ['one'] });
  t.strictSame(joining.port.closes, [closeCodes.sessionRevoked]);
  world.hub.admit(joining.connection, admission(1));
  world.turn();
  t.strictSame(joining.port.texts, [], 'an admission that comes late lets nobody in');
  const late = open(world, { sessionId: 'one' });
  t.strictSame(late.port.closes, [closeCodes.sessionRevoked]);
});

t.test('R7 a revocation is remembered until no token of its session can be alive, and not longer', async (t) => {
  const world = new HubWorld({ revocationLifeMs: 60_000 });
  world.hub.revoke('one');
  world.pass(30_000);
  world.hub.revoke('two');
  world.pass(29_750);
  t.strictSame([world.hub.isRevoked('one'), world.hub.isRevoked('two')], [true, true]);
  world.pass(250);
  t.strictSame([world.hub.isRevoked('one'), world.hub.isRevoked('two')], [false, true]);
  t.equal(world.hub.isRevoked('three'), false);
});

t.test('R7 a revocation that comes again, or for an event seen before, holds all the same', async (t) => {
  const world = new HubWorld();
  const seen = { ...event(1, 5), endedSessions: ['one'] };
  world.hub.publish(event(1, 9));
  world.hub.publish(seen);
  t.equal(world.hub.isRevoked('one'), true);
});
