/**
 * If this breaks: a restart is a storm on the other nodes, or is cut short by the orchestrator with sockets still open.
 */
import t from 'tap';
import { planDrain } from '../../src/gateway/drain.ts';

const STEPS_PER_SECOND = 10;

t.test('R13 the pace that was asked for, if it fits into the grace period', async (t) => {
  const plan = planDrain(1_000, 10_000, 500);
  t.equal(plan.perStep * STEPS_PER_SECOND, 500);
  t.equal(plan.windowMs, 1_000, 'a moment of its own for each');
});

t.test('R13 else the slowest that fits; the window makes up for it', async (t) => {
  const plan = planDrain(10_000, 10_000, 500);
  const closingMs = (10_000 / (plan.perStep * STEPS_PER_SECOND)) * 1_000;
  t.ok(closingMs + plan.answerMs < 10_000, 'within the grace period');
  t.ok(plan.windowMs + closingMs >= 20_000, 'clients come back over 20 s, which is what the pace is for');
});

t.test('R13 few sockets are closed at once, none needs nothing', async (t) => {
  t.equal(planDrain(3, 10_000, 500).perStep, 3);
  t.equal(planDrain(0, 10_000, 500).perStep, 1);
});

t.test('R13 every grace period has room for the answers and for the end', async (t) => {
  for (const graceMs of [1_000, 5_000, 10_000, 30_000, 3_600_000]) {
    for (const sockets of [1, 100, 20_000, 1_000_000]) {
      const { perStep, answerMs } = planDrain(sockets, graceMs, 500);
      const steps = Math.ceil(sockets / perStep);
      const closingMs = (steps / STEPS_PER_SECOND) * 1_000;
      t.ok(closingMs + answerMs <= graceMs - Math.min(1_000, graceMs * 0.1), `${sockets} in ${graceMs} ms: ${closingMs} + ${answerMs}`);
    }
  }
});
