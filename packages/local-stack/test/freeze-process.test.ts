// If this breaks, faults begin later than is said, and what was answered in between is judged as if they had begun.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'tap';
import { freezeProcess } from '../src/freeze-process.ts';
import { sendSignal } from '../src/process-identity.mjs';

/** Four threads that are always on a core or want to be. */
const BUSY = `
  const { Worker } = require('node:worker_threads');
  for (let at = 0; at < 4; at += 1) new Worker('for (;;);', { eval: true });
  process.stdin.on('data', (data) => process.stdout.write(data));
  process.stdout.write('running');`;

test('a frozen process stands still with all its threads, and goes on when it is told to', async (t) => {
  const child = spawn(process.execPath, ['-e', BUSY], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const pid = child.pid ?? 0;
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');

  t.equal(await freezeProcess(pid), true);
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    t.match(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'), /^State:\tT/m);
  }
  child.stdin.write('still there');
  sendSignal(pid, 'SIGCONT');
  t.equal(String(await once(child.stdout, 'data')), 'still there');

  child.kill('SIGKILL');
  await exited;
  t.equal(await freezeProcess(pid), false, 'nobody is there any more');
});
