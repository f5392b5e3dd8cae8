/**
 * If this breaks: after the broker was away the node goes on at a position that now means another event.
 */
import t from 'tap';
import { chooseResumePoint, proofOf, type FoundEvent, type ReadPlace } from '../../src/relay/resume-point.ts';
import type { StreamState } from '../../src/relay/stream-reader.ts';

const CREATED = '2026-01-01T00:00:00Z';
const HOUR_MS = 3_600_000;
const place: ReadPlace = {
  createdAt: CREATED,
  readThrough: 52,
  anchor: { sequence: 50, eventId: 'event-50' },
  anchorStoredAtMs: 10 * HOUR_MS,
};
const state: StreamState = { createdAt: CREATED, firstSequence: 1, lastSequence: 80 };
/** At the place of the last event, stored when that was. */
function found(eventId: string, storedAtMs = 10 * HOUR_MS): FoundEvent {
  return { eventId, storedAtMs };
}

const again = { kind: 'recover', why: 'rolled_back', fromTimeMs: 10 * HOUR_MS - 15 * 60_000 };

t.test('I2 where the reading goes on', async (t) => {
  t.same(chooseResumePoint(place, state, found('event-50')), { kind: 'continue', fromSequence: 51 }, 'the log is the same');
  t.same(chooseResumePoint(place, { ...state, lastSequence: 50 }, found('event-50')), { kind: 'continue', fromSequence: 51 });
  t.same(chooseResumePoint(place, state, found('another')), again, 'another event at our position');
  t.same(chooseResumePoint(place, { ...state, lastSequence: 40 }, null), again, 'the log is shorter');
  t.same(chooseResumePoint(place, state, found('')), again, 'no event at our position');
  const storedAgain = found('event-50', 10 * HOUR_MS + 900);
  t.same(chooseResumePoint(place, state, storedAgain), again, 'lost, and published again behind as many others as before');
  t.same(chooseResumePoint(place, state, found('event-50', 10 * HOUR_MS + 1)), { kind: 'continue', fromSequence: 51 }, 'rounded');
  const evicted = { ...state, firstSequence: 60 };
  t.same(chooseResumePoint(place, evicted, null), { kind: 'continue', fromSequence: 51 }, 'our position was evicted');
  const recreated = { ...state, createdAt: '2026-02-02T00:00:00Z' };
  t.same(chooseResumePoint(place, recreated, found('event-50')), { kind: 'recover', why: 'recreated', fromTimeMs: null });
});

t.test('I2 without any event that was read', async (t) => {
  const nothing: ReadPlace = { ...place, readThrough: 7, anchor: { sequence: 0, eventId: '' } };
  const goOn = { kind: 'continue', fromSequence: 8 };
  t.equal(proofOf(nothing), 7);
  t.equal(proofOf(place), 50);
  t.same(chooseResumePoint(nothing, { ...state, lastSequence: 7 }, found('')), goOn, 'what is no event is still there');
  t.same(chooseResumePoint(nothing, state, found('event-7', 11 * HOUR_MS)), again, 'something else is there');
  t.same(chooseResumePoint(nothing, { ...state, lastSequence: 6 }, null), again, 'the log is shorter');
  t.same(chooseResumePoint({ ...nothing, anchorStoredAtMs: null }, { ...state, firstSequence: 8 }, null), goOn, 'evicted');
  const empty: ReadPlace = { ...nothing, readThrough: 0, anchorStoredAtMs: null };
  t.same(chooseResumePoint(empty, { ...state, firstSequence: 0, lastSequence: 0 }, null), { kind: 'continue', fromSequence: 1 });
});
