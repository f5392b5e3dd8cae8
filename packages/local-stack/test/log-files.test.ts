// If this breaks, a stack left running fills the disk with its logs, or the lines that explain a failure are lost.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { boundLogs, followLog, rotateLog } from '../src/log-files.ts';
import { readLastLines } from '../src/managed-process.ts';
import { waitFor } from '../src/wait-for.ts';

function logPath(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'log-files-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return join(directory, 'part.log');
}

test('a log is put aside at the start and cut while it grows', async (t) => {
  const path = logPath(t);
  rotateLog(path);
  t.notOk(existsSync(`${path}.1`), 'nothing to put aside');
  writeFileSync(path, 'first run\n');
  rotateLog(path);
  t.equal(readFileSync(`${path}.1`, 'utf8'), 'first run\n');

  const end = boundLogs([path], { maxBytes: 1_000, intervalMs: 10 });
  t.teardown(end);
  appendFileSync(path, 'x'.repeat(999));
  appendFileSync(path, 'yy');
  await waitFor(() => statSync(path).size === 0, { description: 'the log to be cut' });
  t.equal(readFileSync(`${path}.1`, 'utf8').length, 1_001);
  appendFileSync(path, 'goes on\n');
  t.equal(readFileSync(path, 'utf8'), 'goes on\n');
});

test('following: whole lines, in order, over a cut, and what comes last', async (t) => {
  const path = logPath(t);
  const lines: string[] = [];
  const end = followLog(path, (line) => lines.push(line));
  writeFileSync(path, 'one\ntwo é, ha');
  await waitFor(() => lines.length === 1, { description: 'the first line' });
  appendFileSync(path, 'lf\n');
  await waitFor(() => lines.length === 2, { description: 'the second line' });
  writeFileSync(path, '3\n');
  await waitFor(() => lines.length === 3, { description: 'a line after the cut' });
  appendFileSync(path, 'last\n');
  end();
  t.same(lines, ['one', 'two é, half', '3', 'last']);
});

test('the last lines of a file', (t) => {
  const path = logPath(t);
  t.equal(readLastLines(path, 3), '', 'no file, no lines');
  writeFileSync(path, 'before\n1\n2\n3\n4\n');
  t.equal(readLastLines(path, 3), '2\n3\n4');
  t.equal(readLastLines(path, 9, 'before\n'.length), '1\n2\n3\n4', 'only what this run has written');
  t.equal(readLastLines(path, 9, 1_000), 'before\n1\n2\n3\n4', 'the file was cut since');
  t.end();
});
