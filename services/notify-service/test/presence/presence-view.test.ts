// If this breaks: people are shown online who are not, or the same news is told again and again.
import fc from 'fast-check';
import t from 'tap';
import { PRESENCE_LEASE_MS, PresenceView, type Announced } from '../../src/presence/presence-view.ts';

const [NODE_A, NODE_B] = ['6b0a1f1e-0000-4000-8000-00000000000a', '6b0a1f1e-0000-4000-8000-00000000000b'];
const lease = (node: string, ...userIds: number[]) => ({ node, part: 0, user_ids: userIds });

/** Announces everything that is due, as the keeper does. */
function announceAll(view: PresenceView, log: string[], sequence = 100): void {
  for (const { userId, isOnline } of view.takeChanges(1_000)) {
    view.announced(userId, { isOnline, sequence });
    log.push(`${isOnline ? '+' : '-'}${userId}`);
  }
}

t.test('a change is due once, whatever node it is on, and again only when it has changed', async (t) => {
  const view = new PresenceView(new Map());
  const log: string[] = [];
  view.hear(lease(NODE_A, 64, 128), 0);
  announceAll(view, log);
  view.hear(lease(NODE_B, 64), 10);
  view.hear(lease(NODE_A, 64, 128), 20);
  announceAll(view, log);
  t.strictSame(log, ['+64', '+128']);
  view.hear(lease(NODE_A, 128), 30);
  announceAll(view, log);
  t.strictSame(log, ['+64', '+128'], 'they are still on the other node');
  view.hear(lease(NODE_B), 40);
  announceAll(view, log);
  t.strictSame(log.slice(2), ['-64']);
});

t.test('the users of a node that falls silent are offline when its lease ends, unless they are elsewhere by then', async (t) => {
  const view = new PresenceView(new Map());
  const log: string[] = [];
  view.hear(lease(NODE_A, 64, 128), 0);
  announceAll(view, log);
  view.hear(lease(NODE_B, 128), PRESENCE_LEASE_MS - 1);
  view.expire(PRESENCE_LEASE_MS);
  announceAll(view, log);
  t.strictSame(log, ['+64', '+128'], 'it holds to its last moment');
  view.expire(PRESENCE_LEASE_MS + 1);
  announceAll(view, log);
  t.strictSame(log.slice(2), ['-64']);
});

t.test('a new keeper begins with what was announced: it repeats nothing and makes up for what was not', async (t) => {
  const announced = new Map<number, Announced>([
    [64, { isOnline: true, sequence: 1 }],
    [128, { isOnline: true, sequence: 2 }],
    [192, { isOnline: false, sequence: 3 }],
  ]);
  const view = new PresenceView(announced);
  view.hear(lease(NODE_A, 64, 192), 0);
  t.strictSame(view.takeChanges(10), [
    { userId: 128, isOnline: false, after: 2 },
    { userId: 192, isOnline: true, after: 3 },
  ]);
});

t.test('whoever comes or goes while their change is on its way is looked at again', async (t) => {
  const view = new PresenceView(new Map());
  view.hear(lease(NODE_A, 64), 0);
  const [change] = view.takeChanges(1);
  view.hear(lease(NODE_A), 5);
  t.strictSame(change, { userId: 64, isOnline: true, after: 0 });
  view.announced(64, { isOnline: true, sequence: 9 });
  t.strictSame(view.takeChanges(1), [{ userId: 64, isOnline: false, after: 9 }]);
});

t.test('after any leases, what was announced is who is connected, and each change alternates', async () => {
  const step = fc.record({
    node: fc.constantFrom(NODE_A, NODE_B),
    userIds: fc.uniqueArray(fc.constantFrom(64, 128, 192), { maxLength: 3 }),
    passMs: fc.integer({ min: 0, max: PRESENCE_LEASE_MS }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const view = new PresenceView(new Map());
      const newest = new Map<string, { userIds: number[]; atMs: number }>();
      const online = new Set<number>();
      let nowMs = 0;
      for (const { node, userIds, passMs } of steps) {
        nowMs += passMs;
        view.hear(lease(node, ...userIds), nowMs);
        newest.set(node, { userIds, atMs: nowMs });
        view.expire(nowMs);
        for (const { userId, isOnline } of view.takeChanges(100)) {
          if (online.has(userId) === isOnline) return false;
          if (isOnline) online.add(userId);
          else online.delete(userId);
          view.announced(userId, { isOnline, sequence: 1 });
        }
        const holding = [...newest.values()].filter(({ atMs }) => nowMs - atMs <= PRESENCE_LEASE_MS);
        const expected = new Set(holding.flatMap((held) => held.userIds));
        if (expected.size !== online.size || [...expected].some((userId) => !online.has(userId))) return false;
      }
      return true;
    }),
  );
});
