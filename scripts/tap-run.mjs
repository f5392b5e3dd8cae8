// Runs tap and shows one line per test file; what a failing file said is shown whole.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
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
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const file = { lines: [] };
  let summary = null;
  createInterface({ input: tap.stdout }).on('line', (line) => {
    const result = /^(not )?ok \d+ - (\S+)(?: # time=([\d.]+)ms)?/.exec(line);
    summary = parseTapSummary(line) ?? summary;
    if (result === null) {
      if (!/^TAP version|^1\.\.\d+$/.test(line)) file.lines.push(line);
      return;
    }
    const [, failed, path, timeMs = '0'] = result;
    say(`  ${failed === undefined ? 'ok' : '!!'}  ${path} (${(Number(timeMs) / 1000).toFixed(1)} s)`);
    if (failed !== undefined) for (const text of file.lines) say(`      ${text}`);
    file.lines = [];
  });
  return new Promise((resolve, reject) => {
    tap.on('error', reject);
    tap.on('close', (code) => {
      const counts = summary ?? { passed: 0, failed: 0, skipped: 0 };
      // What a file did after its result line (or instead of one) is only known to tap's exit code.
      const failed = code === 0 ? counts.failed : Math.max(1, counts.failed);
      if (code !== 0) for (const text of file.lines) say(`      ${text}`);
      resolve({ ...counts, failed });
    });
  });
}

/** Reads tap's last comment, `# { total: 4, pass: 2, fail: 1, skip: 1 }`; null for any other line. */
export function parseTapSummary(line) {
  if (!/^# \{ total: \d+/.test(line)) return null;
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail'), skipped: count('skip') + count('todo') };
}
