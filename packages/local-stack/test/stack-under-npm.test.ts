// If this breaks, Ctrl-C or `kill` on `npm start` leaves servers behind, or a killed npm leaves a whole system running
// that nobody can end and that holds the port.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { findFreePort } from '../src/ports.ts';
import { identifyProcess } from '../src/process-identity.mjs';
import { guardProcess } from '../src/reaper-client.ts';
import { PROJECT_ROOT } from '../src/state-paths.mjs';
import { waitFor } from '../src/wait-for.ts';
import { createStateDirectory, findProcessesOf } from './fixtures/stack-process.ts';

interface NpmRun {
  pid: number;
  stateDirectory: string;
  output(): string;
  ended: Promise<number | null>;
}

/** `npm start` of a package whose start script is the one of this repository, but with stand-ins for the services. */
async function npmStart(t: Test): Promise<NpmRun> {
  const outer = createStateDirectory(t);
  const stateDirectory = join(outer, 'state');
  const script = fileURLToPath(new URL('fixtures/run-stack.ts', import.meta.url));
  const start = `cd ${PROJECT_ROOT} && exec node --conditions=@infrasignal/source --import tsx ${script}`;
  writeFileSync(join(outer, 'package.json'), JSON.stringify({ private: true, scripts: { start } }));
  const args = ['start', '--', '--state', stateDirectory, '--port', String(await findFreePort())];
  const npm = spawn('npm', args, {
    cwd: outer,
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, as under a terminal
  });
  const pid = npm.pid ?? 0;
  const identity = identifyProcess(pid);
  if (identity !== null) guardProcess(identity, { signal: 'SIGTERM', graceMs: 20_000 });
  t.teardown(async () => {
    npm.kill('SIGTERM');
    await waitFor(() => findProcessesOf(stateDirectory).length === 0);
  });
  let output = '';
  npm.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  npm.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => npm.once('close', resolve));
  await waitFor(() => output.includes('  Reset '), {
    timeoutMs: 90_000,
    description: 'the ready block',
    abortIf: () => {
      if (npm.exitCode !== null) throw new Error(output);
    },
  });
  return { pid, stateDirectory, output: () => output, ended };
}

test('Ctrl-C: the signal comes to the whole group, and from npm a second time', async (t) => {
  const npm = await npmStart(t);
  process.kill(-npm.pid, 'SIGINT');
  t.equal(await npm.ended, 0);
  t.same(findProcessesOf(npm.stateDirectory), []);
  t.match(npm.output(), 'Everything has ended');
});

test('kill: SIGTERM comes to npm alone', async (t) => {
  const npm = await npmStart(t);
  process.kill(npm.pid, 'SIGTERM');
  t.equal(await npm.ended, 0);
  t.same(findProcessesOf(npm.stateDirectory), []);
  t.match(npm.output(), 'Everything has ended');
});

test('kill -9 of npm: the stack notices and ends in order', async (t) => {
  const npm = await npmStart(t);
  process.kill(npm.pid, 'SIGKILL');
  await npm.ended;
  await waitFor(() => findProcessesOf(npm.stateDirectory).length === 0, {
    description: 'every process to end',
  });
  t.match(npm.output(), 'Everything has ended');
});

test('kill -9 of npm and the stack', async (t) => {
  const npm = await npmStart(t);
  process.kill(-npm.pid, 'SIGKILL');
  await npm.ended;
  await waitFor(() => findProcessesOf(npm.stateDirectory).length === 0, {
    description: 'the children to end',
  });
  t.pass();
});
