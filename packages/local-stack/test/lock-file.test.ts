// If this breaks, two stacks work on one state and destroy it, or a crashed one locks its owner out for ever.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { isLockHeld, tryLockFile } from '../src/lock-file.ts';
import { identifyProcess } from '../src/process-identity.mjs';

function lockPath(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'lock-file-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return join(directory, 'the.lock');
}

test('one holder at a time, who is named to the others', (t) => {
  const path = lockPath(t);
  const first = tryLockFile(path);
  t.ok('lock' in first);
  t.ok(isLockHeld(path));
  t.same(tryLockFile(path), { heldBy: identifyProcess(process.pid) });
  if ('lock' in first) first.lock.release();
  t.notOk(existsSync(path));
  t.ok('lock' in tryLockFile(path));
  t.end();
});

test('the lock of a dead process is taken over, also when its id lives on', async (t) => {
  const path = lockPath(t);
  const child = spawn('sleep', ['60']);
  const holder = identifyProcess(child.pid ?? 0);
  writeFileSync(path, JSON.stringify(holder));
  t.same(tryLockFile(path), { heldBy: holder });
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  t.ok('lock' in tryLockFile(path));

  writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: 'another time' }));
  t.ok('lock' in tryLockFile(path), 'the id was given to another process');
  writeFileSync(path, '{ half a fi');
  t.ok('lock' in tryLockFile(path), 'a damaged lock is nobody’s');
  t.same(readdirSync(join(path, '..')), ['the.lock'], 'no drafts are left');
});
