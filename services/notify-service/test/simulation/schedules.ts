import fc from 'fast-check';
import type { Action, Schedule } from './sim-world.ts';

const waitMs = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 12 }) },
  { weight: 3, arbitrary: fc.integer({ min: 10, max: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 300, max: 4_000 }) },
);

const user = fc.constantFrom(1, 1, 2, 3);
const client = fc.integer({ min: 0, max: 5 });
const node = fc.integer({ min: 0, max: 1 });
const few = fc.integer({ min: 1, max: 4 });
const cursor = fc.constantFrom('last', 'last', 'last', 'older', 'plain', 'none', 'foreign', 'junk');

function of<Kind extends Action['kind'], Rest extends object>(
  kind: Kind,
  rest: { [Key in keyof Rest]: fc.Arbitrary<Rest[Key]> },
): fc.Arbitrary<Action> {
  return fc.record({ kind: fc.constant(kind), ...rest, waitMs }) as unknown as fc.Arbitrary<Action>;
}

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 24, arbitrary: of('login', { user, count: few }) },
  { weight: 8, arbitrary: of('news', { count: few }) },
  { weight: 2, arbitrary: of('garbage', { user, count: fc.constant(1) }) },
  { weight: 1, arbitrary: of('garbageNews', { count: fc.constant(1) }) },
  { weight: 4, arbitrary: of('revoke', { client }) },
  { weight: 14, arbitrary: of('comeBack', { client, cursor }) },
  { weight: 4, arbitrary: of('loseSocket', { client, isNoticed: fc.boolean() }) },
  { weight: 3, arbitrary: of('stall', { client }) },
  { weight: 3, arbitrary: of('readOn', { client }) },
  { weight: 4, arbitrary: of('crashNode', { node }) },
  { weight: 2, arbitrary: of('drainNode', { node }) },
  { weight: 4, arbitrary: of('cutNode', { node, downMs: fc.constantFrom(0, 0, 100, 3_000) }) },
  { weight: 4, arbitrary: of('lag', { node, ms: fc.constantFrom(0, 20, 200, 1_500) }) },
  { weight: 3, arbitrary: of('delivery', { node, fault: fc.constantFrom('lost', 'twice') }) },
  {
    weight: 6,
    arbitrary: of('crashBroker', {
      lost: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 })),
      downMs: fc.integer({ min: 10, max: 2_000 }),
      forgetsIds: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: of('recreate', { areTold: fc.boolean() }) },
  { weight: 2, arbitrary: of('dropConsumers', {}) },
  { weight: 1, arbitrary: of('pauseBroker', { ms: fc.constantFrom(100, 1_500, 20_000) }) },
  { weight: 2, arbitrary: of('evict', { count: fc.integer({ min: 1, max: 15 }) }) },
  { weight: 3, arbitrary: of('replicaLag', { count: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 3, arbitrary: of('pass', {}) },
);

/** Any order of anything, at any distance. */
export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  readsBatches: fc.boolean(),
  clockCostMs: fc.constantFrom(0, 0, 0, 1),
  actions: fc.array(action, { minLength: 4, maxLength: 45 }),
});
