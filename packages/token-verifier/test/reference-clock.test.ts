// If this breaks, a service that was told the time slowly or often has another time than who told it, and refuses good
// tokens or takes those that have ended.
import { test } from 'tap';
import { ReferenceClock } from '../src/index.ts';

/** Somebody whose clock is `aheadMs` ahead of the steady one, asked with a delay on the way there and back. */
function ask(clock: ReferenceClock, aheadMs: number, askedAtMs: number, [there, back]: [number, number], stepMs = 0): void {
  const saidMs = askedAtMs + there + aheadMs;
  const earliestMs = stepMs === 0 ? saidMs : Math.floor(saidMs / stepMs) * stepMs;
  clock.learn({ earliestMs, latestMs: earliestMs + stepMs, askedAtMs, answeredAtMs: askedAtMs + there + back });
}

test('F18 nothing is known before the first answer, and it is carried on after it', (t) => {
  let nowMs = 100;
  const clock = new ReferenceClock(() => nowMs);
  t.equal(clock.read(), null);
  ask(clock, 5_000, 100, [10, 10]);
  nowMs = 120;
  t.equal(clock.read(), 5_120);
  nowMs = 90_120;
  t.equal(clock.read(), 95_120);
  t.end();
});

test('F18 a slow answer does not move it about, a step of the other does', (t) => {
  const clock = new ReferenceClock(() => 0);
  ask(clock, 5_000, 0, [1, 1]);
  for (const delays of [[3_000, 0], [0, 3_000], [1, 2_000]] as [number, number][]) ask(clock, 5_000, 0, delays);
  t.equal(clock.read(), 5_000);
  ask(clock, -80_000, 0, [1, 1]);
  t.equal(Math.abs((clock.read() ?? 0) + 80_000) <= 1, true);
  t.end();
});

test('F18 it is never further off than what it was told, by whole seconds too', (t) => {
  const clock = new ReferenceClock(() => 0);
  for (let at = 0; at < 200; at += 1) {
    const askedAtMs = at * 7_919;
    const delays: [number, number] = [(at * 37) % 90, (at * 53) % 110];
    ask(clock, 123_456, askedAtMs, delays, 1_000);
    const offMs = Math.abs((clock.read() ?? 0) - 123_456);
    if (offMs > 1_200) t.fail(`off by ${offMs} ms`);
  }
  t.ok(Math.abs((clock.read() ?? 0) - 123_456) < 200, 'and many answers tell more than one');
  t.end();
});
