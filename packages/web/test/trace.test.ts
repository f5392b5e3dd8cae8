// If this breaks, the recorder's strip shows a live line where the connection was down, or the pen runs off the paper.
import t from 'tap';
import { SETTLED_MS, TRACE_MEMORY_MS, Trace } from '../public/trace.js';

t.test('the pen rests, swings after a mark, and comes to rest again', async (t) => {
  const trace = new Trace();
  t.equal(trace.deflection(1_000), 0);
  trace.mark(1_000, 1);
  t.equal(trace.deflection(999), 0, 'not before it happened');
  t.ok(trace.deflection(1_500) > 0.3);
  t.equal(trace.deflection(1_001 + SETTLED_MS), 0);
});

t.test('however many marks come at once, the pen stays on the paper', async (t) => {
  const trace = new Trace();
  for (let mark = 0; mark < 5_000; mark += 1) trace.mark(1_000, 1);
  for (let atMs = 1_000; atMs < 4_000; atMs += 50) t.ok(Math.abs(trace.deflection(atMs)) <= 1);
});

t.test('what is too old to be shown is forgotten', async (t) => {
  const trace = new Trace();
  trace.mark(0, 1);
  trace.mark(TRACE_MEMORY_MS + 1, 1);
  t.equal(trace.marks.length, 1);
});

t.test('the stretches of a window are whole and tell when the line was live', async (t) => {
  const trace = new Trace();
  t.same(trace.stretches(0, 10), [{ fromMs: 0, toMs: 10, isLive: false }]);
  trace.setLive(20, true);
  trace.setLive(25, true);
  trace.setLive(40, false);
  t.equal(trace.isLive(), false);
  t.same(trace.stretches(10, 50), [
    { fromMs: 10, toMs: 20, isLive: false },
    { fromMs: 20, toMs: 40, isLive: true },
    { fromMs: 40, toMs: 50, isLive: false },
  ]);
  t.same(trace.stretches(30, 35), [{ fromMs: 30, toMs: 35, isLive: true }], 'live since before the window');
  t.same(trace.stretches(60, 70), [{ fromMs: 60, toMs: 70, isLive: false }]);
});

t.test('a new sheet of paper shows nothing of the last one', async (t) => {
  const trace = new Trace();
  trace.setLive(10, true);
  trace.mark(20, 1);
  trace.clear();
  t.equal(trace.deflection(300), 0);
  t.same(trace.stretches(0, 50), [{ fromMs: 0, toMs: 50, isLive: false }]);
});
