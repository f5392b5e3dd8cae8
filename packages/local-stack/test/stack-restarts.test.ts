// If this breaks, the crash of one part takes the whole system down, or is hidden until nothing works any more.
import { test, type Test } from 'tap';
import type { LedgerEntry } from '../src/process-ledger.ts';
import { waitFor } from '../src/wait-for.ts';
import { findProcessesOf, startStackProcess, type StackProcess } from './fixtures/stack-process.ts';

function childOf(stack: StackProcess, name: string): LedgerEntry {
  const child = stack.children().find((entry) => entry.name === name);
  if (child === undefined) throw new Error(`${name} is not running`);
  return child;
}

async function startReady(t: Test): Promise<StackProcess> {
  const stack = await startStackProcess(t);
  await stack.ready();
  return stack;
}

test('a child that dies is started again, and everything goes on', async (t) => {
  const stack = await startReady(t);
  for (const name of ['nats-server', 'postgres', 'auth-service', 'notify-service']) {
    const before = childOf(stack, name);
    process.kill(before.pid, 'SIGKILL');
    await waitFor(() => childOf(stack, name).pid !== before.pid, { description: `a new ${name}` });
    await waitFor(() => stack.output().includes(`${name} is back`), { description: `news of ${name}` });
    t.match(stack.output(), `${name} ended by SIGKILL`);
  }
  const answer = await fetch(`${stack.url}/api/`);
  t.equal(answer.status, 200);
  const reports = stack.output().match(/auth-service \| listening/g) ?? [];
  t.ok(reports.length >= 1, 'the last words of the dead are shown');
});

test('a child that dies again and again: the stack gives up, says so and ends everything', async (t) => {
  const stack = await startReady(t);
  const hasGivenUp = async (): Promise<boolean> => {
    await fetch(`${stack.url}/api/crash/`).catch(() => undefined);
    return stack.child.exitCode !== null;
  };
  await waitFor(hasGivenUp, { timeoutMs: 120_000, description: 'the stack to give up' });
  t.equal(await stack.ended(), 1);
  t.match(stack.output(), /Cause: auth-service has ended 4 times in a row, last (with exit code 3|while it was)[^]*Cure: /);
  t.same(findProcessesOf(stack.stateDirectory), []);
});

test('a service that refuses its configuration: its own words, and nothing left running', async (t) => {
  const stack = await startStackProcess(t, { env: { STAND_IN_REFUSES: '1' } });
  t.equal(await stack.ended(), 1);
  t.match(stack.output(), /Cause: auth-service ended while it was starting[^]*STAND_IN_REFUSES must not be set[^]*Cure: /);
  t.same(findProcessesOf(stack.stateDirectory), []);
});
