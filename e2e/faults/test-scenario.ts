import t, { type Test } from 'tap';
import { chooseSeed, createRandom } from './random.ts';
import { findMissingSymptoms, formatViolations } from './report.ts';
import type { Scenario } from './scenario.ts';

/**
 * What is asked of every run of the tests, where all scenarios together have five minutes; `npm run faults` kills a
 * hundred times.
 */
const KILLS = 4;

/** A minute and a half on two free cores; the rest is for machines that do something else as well. */
const TIMEOUT_MS = 300_000;

/**
 * A scenario in the length for every test run, and the same with a part broken on purpose, which must be noticed: after
 * it, or beside it if that only uses the time that both wait.
 */
export function testScenario(title: string, scenario: Scenario): void {
  t.setTimeout(2 * TIMEOUT_MS);
  if (scenario.isMostlyWaiting === true) t.jobs = 2;
  const options = { timeout: TIMEOUT_MS, buffered: scenario.isMostlyWaiting === true };
  const seed = chooseSeed();
  const obstacle = scenario.findObstacle?.() ?? Promise.resolve(null);
  t.test(title, options, async (t) => {
    if (await isSkipped(t, obstacle)) return;
    t.comment(`seed ${seed}: FAULT_SEED=${seed} repeats the random choices`);
    const { violations, counts, faults, figures, recoveryMs } = await scenario.run({
      t,
      random: createRandom(seed),
      kills: KILLS,
      isFull: false,
      progress: sayTo(t),
    });
    t.comment(JSON.stringify({ ...counts, faults, recoveryMs: Math.round(recoveryMs) }));
    for (const figure of figures) t.comment(figure);
    t.same(formatViolations(violations), [], 'every invariant holds');
    t.ok(counts.ok > 0 && counts.frames > 0, 'something was asked and something was received');
  });
  t.test(`${title}; negative control: ${scenario.control.title}`, options, async (t) => {
    if (await isSkipped(t, obstacle)) return;
    const random = createRandom(seed);
    const { violations } = await scenario.control.run({
      t,
      random,
      kills: KILLS,
      isFull: false,
      progress: sayTo(t),
    });
    t.same(findMissingSymptoms(violations, scenario.control.symptoms), [], 'the checks notice it');
  });
}

/** As comments of the test, with the time since now. */
function sayTo(t: Test): (line: string) => void {
  const startedAt = performance.now();
  return (line) => {
    t.comment(`${((performance.now() - startedAt) / 1_000).toFixed(1)} s: ${line}`);
  };
}

/** A test that plans nothing is one that tap reports as skipped, with the reason beside it. */
async function isSkipped(t: Test, obstacle: Promise<string | null>): Promise<boolean> {
  const reason = await obstacle;
  if (reason !== null) t.plan(0, reason);
  return reason !== null;
}
