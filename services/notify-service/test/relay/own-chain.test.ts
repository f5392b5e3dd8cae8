/**
 * If this breaks: a resume leaves out an event and calls itself whole.
 */
import fc from 'fast-check';
import t from 'tap';
import type { LogEntry } from '../../src/relay/log-entry.ts';
import { OwnChain } from '../../src/relay/own-chain.ts';
import { entry, seqsOf } from './entries.ts';

const USER = 1;

/** What stands at each place of one user's log: the next event, one that was spoiled, or rubbish beside the counter. */
const logs = fc.array(fc.constantFrom('event', 'event', 'event', 'spoiled', 'rubbish'), { minLength: 12, maxLength: 30 });

function build(kinds: readonly string[]): LogEntry[] {
  let seq = 0;
  return kinds.map((kind, at) => {
    if (kind !== 'rubbish') seq += 1;
    return entry(at + 1, USER, kind === 'event' ? seq : null);
  });
}

function seqOf({ decoded }: LogEntry): number | null {
  return decoded.ok ? decoded.event.seq : null;
}

t.test('I2 whatever is gone from the log, a chain that reaches the newest event has them all', async (t) => {
  let whole = 0;
  let refused = 0;
  const property = fc.property(logs, fc.nat(10), fc.nat(20), fc.boolean(), (kinds, goneCount, cursorAt, hasHint) => {
    const log = build(kinds);
    const held = log.slice(goneCount);
    // The client saw the log up to here.
    const seen = log.slice(0, cursorAt);
    const cursor = seen.map(seqOf).findLast((seq) => seq !== null) ?? 0;
    const isHintHeld = hasHint && seen.length > goneCount;
    const chain = new OwnChain(cursor, cursor === 0 && isHintHeld ? null : cursor, isHintHeld);
    const entries = isHintHeld ? log.slice(seen.length) : held;
    const isUnbroken = entries.every((entry) => chain.add(entry));
    const newest = held.map(seqOf).findLast((seq) => seq !== null) ?? null;
    if (!isUnbroken || newest === null || newest <= cursor || chain.lastSeq !== newest) {
      refused += 1;
      return;
    }
    whole += 1;
    const missed = log.map(seqOf).filter((seq) => seq !== null && seq > cursor);
    if (String(seqsOf(chain.events)) !== String(missed)) throw new Error(`replayed ${String(seqsOf(chain.events))}`);
  });
  fc.assert(property, { numRuns: 5_000 });
  t.ok(whole > 500 && refused > 500, `${whole} whole, ${refused} not: both kinds were tried`);
});

t.test('R5 a hole, and what explains one', async (t) => {
  const add = (chain: OwnChain, ...entries: LogEntry[]): boolean => entries.every((entry) => chain.add(entry));
  t.notOk(add(new OwnChain(1, 1, true), entry(5, USER, 3)), 'seq 2 is missing');
  t.ok(add(new OwnChain(1, 1, true), entry(4, USER, null), entry(5, USER, 3)), 'what stood in its place is no event');
  t.notOk(add(new OwnChain(1, 1, true), entry(4, USER, null), entry(5, USER, 4)), 'one place explains one');
  t.notOk(
    add(new OwnChain(1, 1, false), entry(4, USER, null), entry(5, USER, 3)),
    'it may lie before the cursor, and seq 2 have been evicted behind it',
  );
  t.ok(add(new OwnChain(0, null, true), entry(5, USER, 7)), 'where nothing was before, the first may carry any seq');
});

t.test('I2 events that were stored twice are replayed once', async (t) => {
  const chain = new OwnChain(3, 3, false);
  for (const [at, seq] of [2, 3, 4, 5, 3, 4, 5, 6].entries()) t.ok(chain.add(entry(at + 1, USER, seq)));
  t.same(seqsOf(chain.events), [4, 5, 6]);
  t.equal(chain.start?.sequence, 5, 'the cursor’s own event, where it was met last');
  t.equal(chain.bytes, 300);
});
