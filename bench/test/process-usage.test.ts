// The CPU seconds of a server are what its figures are divided by: read from the wrong field they flatter or slander it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { findParentPid, readCpuSeconds, readFamilyCpuSeconds, readMachineCpuSeconds } from '../process-usage.ts';

const isLinux = process.platform === 'linux';

/** Uses the processor until this process has spent that much more of it, by its own account. */
function burn(milliseconds: number): void {
  const before = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 >= milliseconds) return;
  }
}

t.test('a process is charged what it used', { skip: !isLinux && 'no /proc' }, async (t) => {
  const ownBefore = process.cpuUsage();
  const before = readCpuSeconds(process.pid);
  const machineBefore = readMachineCpuSeconds();
  burn(300);
  const read = readCpuSeconds(process.pid) - before;
  const machine = readMachineCpuSeconds() - machineBefore;
  const { user, system } = process.cpuUsage(ownBefore);
  // The kernel counts in steps of 10 ms, of user and of kernel time each.
  t.ok(Math.abs(read - (user + system) / 1e6) < 0.05, `${read} s read, ${(user + system) / 1e6} s by its own account`);
  t.ok(machine > 0.2, 'the machine is charged as well');
});

t.test('children count for their family, living and ended', { skip: !isLinux && 'no /proc' }, async (t) => {
  const before = readFamilyCpuSeconds(process.pid) - readCpuSeconds(process.pid);
  const program = `const from = process.cpuUsage();
    while (process.cpuUsage(from).user < 200_000);
    process.stdout.write('done');
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  t.equal(findParentPid(child.pid ?? 0), process.pid);
  const living = readFamilyCpuSeconds(process.pid) - readCpuSeconds(process.pid);
  t.ok(living - before >= 0.15, `${living - before} s while it lives`);
  child.stdin.end();
  await exited;
  const ended = readFamilyCpuSeconds(process.pid) - readCpuSeconds(process.pid);
  t.ok(ended - before >= 0.15, `${ended - before} s when it has ended`);
});

t.test('a process that is not there has no figure', async (t) => {
  const noPid = 2 ** 30;
  t.ok(Number.isNaN(readCpuSeconds(noPid)));
  t.ok(Number.isNaN(readFamilyCpuSeconds(noPid)));
  t.equal(findParentPid(noPid), null);
});
