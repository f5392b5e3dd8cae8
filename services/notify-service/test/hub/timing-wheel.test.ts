/**
 * If this breaks: pings, expiries and deadlines of sockets come too early, or never.
 */
import t from 'tap';
import { TimingWheel } from '../../src/hub/timing-wheel.ts';

t.test('timers fire once, in order, never early, at most two ticks late', async (t) => {
  const wheel = new TimingWheel({ tickMs: 100, slots: 8, nowMs: 1_000 });
  const fired: { delayMs: number; atMs: number }[] = [];
  let nowMs = 1_000;
  const delays = [0, 1, 99, 100, 101, 750, 800, 801, 1_600, 5_000, 12_345];
  for (const delayMs of delays) wheel.schedule(delayMs, () => fired.push({ delayMs, atMs: nowMs - 1_000 }));
  t.equal(wheel.size, delays.length);
  for (; nowMs < 20_000; nowMs += 30) wheel.advance(nowMs);
  t.same(fired.map(({ delayMs }) => delayMs), delays);
  for (const { delayMs, atMs } of fired) t.ok(atMs >= delayMs && atMs <= delayMs + 230, `${delayMs} at ${atMs}`);
  t.equal(wheel.size, 0);
});

t.test('a cancelled timer does not fire, and cancelling is harmless at any time', async (t) => {
  const wheel = new TimingWheel({ tickMs: 100, slots: 4, nowMs: 0 });
  let fired = 0;
  const timers = Array.from({ length: 10 }, (_, at) => wheel.schedule(at * 100, () => (fired += 1)));
  for (const timer of timers.slice(5)) wheel.cancel(timer);
  wheel.advance(10_000);
  t.equal(fired, 5);
  for (const timer of timers) wheel.cancel(timer);
  t.equal(wheel.size, 0);
});

t.test('what a timer sets in motion, and a loop that was stopped for long, keep their order', async (t) => {
  const wheel = new TimingWheel({ tickMs: 100, slots: 4, nowMs: 0 });
  const order: string[] = [];
  const beat = (left: number): void => {
    order.push(`beat ${left}`);
    if (left > 0) wheel.schedule(300, () => beat(left - 1));
  };
  wheel.schedule(300, () => beat(3));
  wheel.schedule(1_000, () => order.push('middle'));
  wheel.advance(100_000);
  t.same(order, ['beat 3', 'beat 2', 'middle', 'beat 1', 'beat 0']);
});
