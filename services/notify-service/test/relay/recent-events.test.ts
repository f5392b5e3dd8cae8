/**
 * If this breaks: a client that comes back is answered from memory with what is not, or no longer, in the log, or with
 * a part of it as if it were all.
 */
import fc from 'fast-check';
import t from 'tap';
import { userOf, type LogEntry } from '../../src/relay/log-entry.ts';
import { RecentEvents } from '../../src/relay/recent-events.ts';
import { entry } from './entries.ts';

const EVENTS_MAX = 8;
const BYTES_MAX = 700;
const AGE_MS_MAX = 1_000;
const USERS = [1, 2, 3];

type Step =
  | { readonly kind: 'add'; readonly userId: number | null; readonly isEvent: boolean; readonly bytes: number }
  | { readonly kind: 'jump'; readonly by: number }
  | { readonly kind: 'clear' }
  | { readonly kind: 'wait'; readonly ms: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        userId: fc.constantFrom(null, ...USERS),
        isEvent: fc.boolean(),
        bytes: fc.integer({ min: 1, max: 300 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump' as const), by: fc.integer({ min: -20, max: 20 }) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 600 }) }) },
  ),
  { maxLength: 80 },
);

t.test('R4 the recent events are the end of the log, without a hole, within every limit', async (t) => {
  fc.assert(
    fc.property(steps, (steps) => {
      let nowMs = 0;
      const recent = new RecentEvents({ eventsMax: EVENTS_MAX, bytesMax: BYTES_MAX, ageMsMax: AGE_MS_MAX, now: () => nowMs });
      // What may be held: the messages since the log was last taken up, in order and next to each other.
      let log: LogEntry[] = [];
      let position = 100;
      let generation = recent.generation;
      for (const step of steps) {
        if (step.kind === 'wait') nowMs += step.ms;
        else if (step.kind === 'jump') position = Math.max(1, position + step.by);
        else if (step.kind === 'clear') {
          recent.clear();
          log = [];
          generation += 1;
        } else {
          const { userId, isEvent, bytes } = step;
          const added = entry(position, userId, isEvent ? position : null, { bytes, storedAtMs: nowMs });
          if (log.at(-1)?.sequence !== position - 1) log = [];
          log.push(added);
          recent.add(added);
          position += 1;
        }
        check(recent, log, nowMs);
        if (recent.generation !== generation) throw new Error('the generation counts changes of the log and nothing else');
      }
    }),
    { numRuns: 500 },
  );
  t.pass();
});

function check(recent: RecentEvents, log: readonly LogEntry[], nowMs: number): void {
  const held = log.filter(({ sequence }) => recent.covers(sequence));
  const isTail = held.every((entry, at) => entry === log[log.length - held.length + at]);
  if (!isTail) throw new Error('what is held is not the end of the log');
  if (held.length !== recent.size) throw new Error('positions are covered that were never seen');
  for (const entry of held) if (recent.find(entry.sequence) !== entry) throw new Error('another message at its position');
  const bytes = held.reduce((sum, entry) => sum + entry.bytes, 0);
  if (bytes !== recent.bytes || bytes > BYTES_MAX || held.length > EVENTS_MAX) throw new Error('a limit is passed');
  if (held.some(({ storedAtMs }) => storedAtMs < nowMs - AGE_MS_MAX)) throw new Error('older than the stream keeps it');
  const next = log.at(-held.length - 1);
  const mayStay = next !== undefined && held.length < EVENTS_MAX && bytes + next.bytes <= BYTES_MAX;
  if (held.length > 0 && mayStay && next.storedAtMs >= nowMs - AGE_MS_MAX) {
    // It may have gone to make room for one that has gone since; but the newest is dropped by nothing but its size.
    if (!held.includes(log.at(-1)!)) throw new Error('the newest is not held');
  }
  for (const userId of USERS) {
    for (const from of [0, (held[0]?.sequence ?? 0) + 2]) {
      const expected = held.filter((entry) => userOf(entry) === userId && entry.sequence >= from);
      const found = [...recent.ofUser(userId, from)];
      if (found.length !== expected.length || found.some((entry, at) => entry !== expected[at])) {
        throw new Error('a user’s messages are not those that are held');
      }
    }
  }
}

t.test('R4 where the ring has wrapped, it says that it does not know', async (t) => {
  const recent = new RecentEvents({ eventsMax: 3, bytesMax: 10_000, ageMsMax: 1e9, now: () => 0 });
  for (let at = 1; at <= 5; at += 1) recent.add(entry(at, 1, at));
  t.same([1, 2, 3, 4, 5, 6].map((sequence) => recent.covers(sequence)), [false, false, true, true, true, false]);
  t.same([...recent.ofUser(1)].map(({ sequence }) => sequence), [3, 4, 5]);
  t.equal(recent.find(2), null);
});
