// If this breaks, a killed stack leaves servers behind that make the next `npm start` fail, or ends strangers.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { identifyProcess, isSameProcessAlive } from '../src/process-identity.mjs';
import {
  createStateDirectory,
  findProcessesOf,
  findReaper,
  runReset,
  startStackProcess,
  waitUntilGone,
  type StackProcess,
} from './fixtures/stack-process.ts';

async function startReady(t: Test, stateDirectory?: string): Promise<StackProcess> {
  const stack = await startStackProcess(t, stateDirectory === undefined ? {} : { stateDirectory });
  await stack.ready();
  return stack;
}

test('SIGKILL of the stack: its children end by themselves and the next start works', async (t) => {
  const stateDirectory = createStateDirectory(t);
  const killed = await startReady(t, stateDirectory);
  const children = killed.children();
  killed.child.kill('SIGKILL');
  await killed.ended();
  const next = await startReady(t, stateDirectory);
  await waitUntilGone(children);
  next.child.kill('SIGTERM');
  t.equal(await next.ended(), 0);
  t.same(findProcessesOf(stateDirectory), []);
});

test('SIGKILL of the stack and its reaper: the next start ends what is left', async (t) => {
  const stateDirectory = createStateDirectory(t);
  const killed = await startReady(t, stateDirectory);
  const children = killed.children();
  const reaper = identifyProcess(findReaper(killed.child.pid ?? 0));
  if (reaper === null) throw new Error('a stack has a reaper');
  process.kill(reaper.pid, 'SIGKILL');
  killed.child.kill('SIGKILL');
  await killed.ended();
  await waitUntilGone([reaper]);
  t.ok(children.every((child) => isSameProcessAlive(child)), 'nobody has ended them');
  const next = await startReady(t, stateDirectory);
  t.match(next.output(), /ended what an earlier run had left behind: [^]*postgres/);
  t.notOk(children.some((child) => isSameProcessAlive(child)));
});

test('a process that got the id of a dead child is left alone', async (t) => {
  const stateDirectory = createStateDirectory(t);
  const first = await startReady(t, stateDirectory);
  const ledger = first.children();
  first.child.kill('SIGTERM');
  await first.ended();
  const stranger = identifyProcess(process.pid);
  writeFileSync(
    join(stateDirectory, 'run/processes.json'),
    JSON.stringify(ledger.map((entry) => ({ ...entry, pid: process.pid, startedAt: stranger?.startedAt }))),
  );
  writeFileSync(join(stateDirectory, 'postgres/postmaster.pid'), `${process.pid}\n`, { mode: 0o600 });
  await startReady(t, stateDirectory);
  t.pass('this very process was named and still lives');
});

test('reset: not while it runs, everything afterwards, leftovers included', async (t) => {
  const stack = await startReady(t);
  const { stateDirectory } = stack;
  const refused = await runReset(stateDirectory);
  t.equal(refused.code, 1);
  t.match(refused.output, /Cause: infraSignal is running[^]*Cure: /);
  t.ok(existsSync(join(stateDirectory, 'postgres/PG_VERSION')));

  const children = stack.children();
  process.kill(findReaper(stack.child.pid ?? 0), 'SIGKILL');
  stack.child.kill('SIGKILL');
  await stack.ended();
  const done = await runReset(stateDirectory);
  t.equal(done.code, 0);
  t.match(done.output, /Ending postgres[^]*Removed /);
  t.notOk(existsSync(stateDirectory));
  t.notOk(children.some((child) => isSameProcessAlive(child)));
  t.match((await runReset(stateDirectory)).output, 'There is no local state to remove');
});
