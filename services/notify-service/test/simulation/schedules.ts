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

interface Weighted {
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<Action>;
}

function some<Kind extends Action['kind'], Rest extends object>(
  weight: number,
  kind: Kind,
  rest: { [Key in keyof Rest]: fc.Arbitrary<Rest[Key]> },
): Weighted {
  const arbitrary = fc.record({ kind: fc.constant(kind), waitMs, ...rest }) as unknown as fc.Arbitrary<Action>;
  return { weight, arbitrary };
}

/** What happens on a good day. */
const ordinary: readonly Weighted[] = [
  some(24, 'login', { user, count: few }),
  some(8, 'news', { count: few }),
  some(14, 'comeBack', { client, cursor }),
  some(3, 'pass', {}),
];

/** What may go on beside it: some of it in each schedule, so that each meets each without all the others too. */
const special: Readonly<Record<string, readonly Weighted[]>> = {
  revocations: [some(5, 'revoke', { client, isEverywhere: fc.boolean() })],
  tokens: [
    some(3, 'renew', { client, token: fc.constantFrom('fresh', 'fresh', 'fresh', 'older', 'foreign', 'junk') }),
    // As long as a token lives: some run out, and are warned of before.
    some(1, 'pass', { waitMs: fc.integer({ min: 5_000, max: 70_000 }) }),
  ],
  garbage: [some(2, 'garbage', { user, count: fc.constant(1) }), some(1, 'garbageNews', { count: fc.constant(1) })],
  lostSockets: [some(4, 'loseSocket', { client, isNoticed: fc.boolean() })],
  slowReaders: [some(3, 'stall', { client }), some(3, 'readOn', { client })],
  crashes: [some(4, 'crashNode', { node })],
  drains: [some(3, 'drainNode', { node })],
  cuts: [some(4, 'cutNode', { node, downMs: fc.constantFrom(0, 0, 100, 3_000) })],
  lag: [some(4, 'lag', { node, ms: fc.constantFrom(0, 20, 200, 1_500) })],
  deliveries: [some(3, 'delivery', { node, fault: fc.constantFrom('lost', 'twice') })],
  brokerCrashes: [
    some(6, 'crashBroker', {
      lost: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 })),
      downMs: fc.integer({ min: 10, max: 2_000 }),
      forgetsIds: fc.boolean(),
    }),
  ],
  otherStreams: [some(2, 'recreate', { areTold: fc.boolean() })],
  consumers: [some(2, 'dropConsumers', {})],
  pauses: [some(1, 'pauseBroker', { ms: fc.constantFrom(100, 1_500, 20_000) })],
  slowness: [some(2, 'slowBroker', { ms: fc.constantFrom(0, 50, 500) })],
  age: [some(2, 'evict', { count: fc.integer({ min: 1, max: 15 }) })],
  replicas: [some(4, 'replicaLag', { count: fc.integer({ min: 0, max: 3 }) })],
};

const kinds = Object.keys(special);

/** Any order of some of it, at any distance. Short ones are the faster to run, long ones reach what takes many steps. */
function actionsOf(chosen: readonly string[]): fc.Arbitrary<Action[]> {
  const action = fc.oneof(...ordinary, ...chosen.flatMap((kind) => special[kind] ?? []));
  const lengths = { minLength: 4, maxLength: 45 };
  return fc.oneof(fc.array(action, { ...lengths, size: 'small' }), fc.array(action, { ...lengths, size: 'max' }));
}

const actions = fc.oneof(
  { weight: 1, arbitrary: actionsOf(kinds) },
  { weight: 3, arbitrary: fc.subarray(kinds, { minLength: 1, maxLength: 5 }).chain(actionsOf) },
);

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  readsBatches: fc.boolean(),
  clockCostMs: fc.constantFrom(0, 0, 0, 1),
  actions,
});
