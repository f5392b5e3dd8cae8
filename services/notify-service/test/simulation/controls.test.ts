/**
 * If this breaks: the simulation finds nothing any more, and says that all is well.
 *
 * Each control leaves out one thing that a node is there to do; some schedule has to notice.
 */
import fc from 'fast-check';
import t from 'tap';
import { BrokenPromiseError } from './observer.ts';
import { controls, type Control } from './sabotage.ts';
import { schedules } from './schedules.ts';
import { SimWorld } from './sim-world.ts';

/**
 * One of them takes 700 schedules in the mean: with fewer than this, whether it is found would depend on every change that
 * draws its random numbers in another order. More are never needed.
 */
const RUNS_MAX = 20_000;

/** Always the same schedules: what they find is found each time. */
const SEED = 5;

/** How many schedules it takes until one finds it, and what it finds. */
async function find({ install, sabotage }: Control): Promise<{ runs: number; broken: string } | null> {
  const mend = install?.();
  const property = fc.asyncProperty(schedules, async (schedule) => {
    await new SimWorld(schedule, sabotage).run().catch((error: unknown) => {
      if (error instanceof BrokenPromiseError) throw error;
    });
  });
  const { errorInstance, failed, numRuns } = await fc.check(property, {
    seed: SEED,
    numRuns: RUNS_MAX,
    endOnFailure: true,
  });
  mend?.();
  if (!failed || !(errorInstance instanceof BrokenPromiseError)) return null;
  return { runs: numRuns, broken: errorInstance.message.split(':')[0] ?? '' };
}

t.setTimeout(0);

for (const control of controls) {
  t.test(`R4 it is found when ${control.name}`, async (t) => {
    const found = await find(control);
    t.ok(found !== null, `found within ${RUNS_MAX} schedules`);
    t.comment(`after ${found?.runs} schedules: ${found?.broken}`);
  });
}
