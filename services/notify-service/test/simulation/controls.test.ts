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

/** As many as the short form of the simulation runs. */
const RUNS_MAX = 2_000;

/** Always the same schedules: what they find is found each time. */
const SEED = 7;

/** How many schedules it takes until one finds it, and what it finds. */
async function find({ install, sabotage }: Control): Promise<{ runs: number; broken: string } | null> {
  const mend = install?.();
  let runs = 0;
  try {
    for (const schedule of fc.stream(fc.sample(schedules, { seed: SEED, numRuns: RUNS_MAX }).values())) {
      runs += 1;
      const error = await new SimWorld(schedule, sabotage).run().then(
        () => null,
        (broken: unknown) => broken,
      );
      if (error instanceof BrokenPromiseError) return { runs, broken: error.message.split(':')[0] ?? '' };
    }
    return null;
  } finally {
    mend?.();
  }
}

t.setTimeout(0);

for (const control of controls) {
  t.test(`R4 it is found when ${control.name}`, async (t) => {
    const found = await find(control);
    t.ok(found !== null, `found within ${RUNS_MAX} schedules`);
    t.comment(`after ${found?.runs} schedules: ${found?.broken}`);
  });
}
