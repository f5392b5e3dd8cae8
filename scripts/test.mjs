// `npm test`: sets the clone up like `npm start`, then checks everything and runs every test. Arguments are test files
// or options of tap: `npm test -- services/auth-service/test/registration.test.ts`; then only those tests run.
//
// A new check is a new entry of `steps`. The last line of the output is always `N passed, N failed`, counting test
// assertions and, as failed, each step that failed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureAptPackages } from './apt-packages.mjs';
import { bootstrap, ROOT } from './bootstrap.mjs';
import { bold, say, ScriptError } from './console.mjs';
import { needsTapBuild, runTap } from './tap-run.mjs';

const tapArguments = process.argv.slice(2);
const isWhole = tapArguments.length === 0;

/** `run` returns true or false, or counts of assertions; `when` says whether the step is needed. */
const steps = [
  { title: 'packages of the distribution', when: isWhole, run: () => (ensureAptPackages(), true) },
  { title: 'tap without its TypeScript plugin', when: needsTapBuild, run: () => runTool('tap', ['build']) },
  { title: 'lint', when: isWhole, run: () => runTool('eslint', ['.', '--max-warnings', '0']) },
  { title: 'types', when: isWhole, run: () => runTool('tsc', ['--project', 'tsconfig.json']) },
  { title: 'types of the web page', when: isWhole, run: () => runTool('tsc', ['--project', 'packages/web/tsconfig.json']) },
  {
    title: 'boundaries',
    when: isWhole,
    run: () => runTool('depcruise', ['--config', '.dependency-cruiser.mjs', '--output-type', 'err', ...sourceFolders()]),
  },
  {
    title: 'generated documents are in sync',
    when: isWhole,
    run: () => runNode(['scripts/generate-docs.ts', '--check']),
  },
  { title: 'tests', run: () => runTap(tapArguments) },
];

const total = { passed: 0, failed: 0, skipped: 0 };
try {
  await bootstrap();
  for (const step of steps) await runStep(step);
} catch (error) {
  total.failed += 1;
  report(error);
}
say();
const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`;
say(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed === 0 ? 0 : 1;

async function runStep({ title, when = true, run }) {
  if (!(typeof when === 'function' ? when() : when)) return;
  say(bold(`== ${title}`));
  const startedAt = Date.now();
  try {
    const result = await run();
    if (typeof result === 'object') {
      for (const name of Object.keys(total)) total[name] += result[name];
    } else if (!result) {
      total.failed += 1;
    }
    const isGood = typeof result === 'object' ? result.failed === 0 : result;
    say(`   ${isGood ? 'ok' : 'FAILED'}: ${title} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
  } catch (error) {
    total.failed += 1;
    report(error);
  }
}

function report(error) {
  if (!(error instanceof ScriptError)) {
    say(error.stack);
    return;
  }
  say(`Cause: ${error.message}`);
  say(`Cure:  ${error.cure}`);
}

/** Runs a tool of node_modules; true when it found nothing to complain about. */
function runTool(name, args) {
  return spawnSync(join(ROOT, 'node_modules/.bin', name), args, { cwd: ROOT, stdio: 'inherit' }).status === 0;
}

/** Runs a TypeScript or JavaScript program of this repository. */
function runNode(args) {
  const flags = ['--conditions=@infrasignal/source', '--import', 'tsx'];
  return spawnSync(process.execPath, [...flags, ...args], { cwd: ROOT, stdio: 'inherit' }).status === 0;
}

function sourceFolders() {
  return ['packages', 'services', 'e2e', 'bench'].filter((folder) => existsSync(join(ROOT, folder)));
}
