// Runs tap and shows one line per test file; what a failing file said is shown whole.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { identifyProcess, sendSignal } from '../packages/local-stack/src/process-identity.mjs';
import { ROOT } from './bootstrap.mjs';
import { say } from './console.mjs';

/**
 * True when tap still has the plugins it came with. `.taprc` removes one (it does not accept TypeScript 6), and tap
 * then has to be generated anew, once after each installation.
 */
export function needsTapBuild() {
  const fromTap = createRequire(createRequire(join(ROOT, 'package.json')).resolve('tap'));
  const built = join(dirname(fromTap.resolve('@tapjs/test/package.json')), 'test-built/dist/esm/index.js');
  return readFileSync(built, 'utf8').includes('@tapjs/typescript');
}

/** Resolves with tap's own count of assertions when every file has run. */
export function runTap(args) {
  const tap = spawn(join(ROOT, 'node_modules/.bin/tap'), ['--reporter=tap', ...args], {
    cwd: ROOT,
    detached: true, // a group of its own, so that it can be ended with all its test files
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithThisProcess(tap.pid);
  const show = createFileReport();
  let summary = null;
  createInterface({ input: tap.stdout }).on('line', (line) => {
    summary = parseTapSummary(line) ?? summary;
    show(line);
  });
  return new Promise((resolve, reject) => {
    tap.on('error', reject);
    tap.on('close', (code) => {
      const counts = summary ?? { passed: 0, failed: 0, skipped: 0 };
      // What a file did after its result line (or instead of one) is only known to tap's exit code.
      const failed = code === 0 ? counts.failed : Math.max(1, counts.failed);
      resolve({ ...counts, failed });
    });
  });
}

/** Turns tap's output into a line per file, and shows what a failing file said. */
function createFileReport() {
  let lines = [];
  let isInDiagnosis = false;
  return (line) => {
    if (isInDiagnosis) {
      // How the file's process ended; the rest is its command line.
      if (/^ {2}(exitCode|signal|expired|timeout): (?!null|0$)/.test(line)) say(`      ${line.trim()}`);
      isInDiagnosis = line !== '  ...';
      return;
    }
    const result = /^(not )?ok \d+ - (\S+)(?: # time=([\d.]+)ms)?/.exec(line);
    if (result !== null) {
      const [, failed, path, timeMs = '0'] = result;
      say(`  ${failed === undefined ? 'ok' : '!!'}  ${path} (${(Number(timeMs) / 1000).toFixed(1)} s)`);
      if (failed !== undefined) for (const text of lines) say(`      ${text}`);
      lines = [];
    } else if (line === '  ---') {
      isInDiagnosis = true;
    } else if (!/^(TAP version|1\.\.\d|# Subtest)|^$/.test(line)) {
      lines.push(line);
    }
  };
}

/**
 * tap lets its test files finish, or hang, when it is asked to end. A signal to this process therefore ends the whole
 * group the hard way, and should this process be killed itself, the reaper does so. Whatever servers the test files
 * have started are ended by reapers of their own.
 */
function endWithThisProcess(pid) {
  for (const [signal, exitCode] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
    process.once(signal, () => {
      sendSignal(-pid, 'SIGKILL');
      process.exit(exitCode);
    });
  }
  const script = join(ROOT, 'packages/local-stack/src/reaper.mjs');
  const reaper = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  reaper.unref();
  reaper.stdin.unref();
  const rule = { ...identifyProcess(pid), signal: 'SIGTERM', graceMs: 0 };
  reaper.stdin.write(`${JSON.stringify({ add: rule })}\n`);
}

/** Reads tap's last comment, `# { total: 4, pass: 2, fail: 1, skip: 1 }`; null for any other line. */
export function parseTapSummary(line) {
  if (!/^# \{ total: \d+/.test(line)) return null;
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') };
}
