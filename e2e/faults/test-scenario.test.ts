// If this breaks: a scenario that a machine cannot run reads as one that held there.
import { spawnSync } from 'node:child_process';
import t from 'tap';

/** A test file as its own process prints it: tap's own words on what was skipped. */
function runTestFile(source: string): string {
  const flags = ['--conditions=@infrasignal/source', '--import', 'tsx', '--input-type=module', '--eval', source];
  const { PATH, HOME } = process.env;
  const { stdout, stderr } = spawnSync(process.execPath, flags, {
    cwd: import.meta.dirname,
    env: { PATH, HOME },
    encoding: 'utf8',
  });
  return stdout + stderr;
}

t.test('a scenario that meets an obstacle is skipped with its reason, its control too, and neither is run', async (t) => {
  const output = runTestFile(`
    import { testScenario } from './test-scenario.ts';
    const run = async () => { throw new Error('was run'); };
    const control = { title: 'a broken part', symptoms: [], run };
    testScenario('F99 title', { id: 'F99', title: '', findObstacle: async () => 'no such device', run, control });
  `);
  t.match(output, /^ok 1 - F99 title # SKIP no such device$/m);
  t.match(output, /^ok 2 - F99 title; negative control: a broken part # SKIP no such device$/m);
  t.notMatch(output, /was run/);
});
