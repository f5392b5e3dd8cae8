// If this breaks, two test files that run side by side are now and then given the same port, and one of them waits for a
// server that could not start, or talks to the other's.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { claimPort, findFreePort } from '../src/ports.ts';
import { PROJECT_ROOT } from '../src/state-paths.mjs';

/** With so many each, two processes that know nothing of each other have nine in common. */
const DRAWN = 400;

const skip = process.platform !== 'linux' && 'only Linux has names that end with their process';

test('a port is given to one process at a time, and to another when that one is dead', { skip }, async (t) => {
  const script = fileURLToPath(new URL('fixtures/draws-ports.ts', import.meta.url));
  const args = ['--conditions=@infrasignal/source', '--import', 'tsx', script, String(DRAWN)];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const other = spawn(process.execPath, args, { cwd: PROJECT_ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => other.kill('SIGKILL'));
  const said = once(createInterface(other.stdout), 'line') as Promise<[string]>;
  const own: number[] = [];
  while (own.length < DRAWN) own.push(await findFreePort());
  const others = JSON.parse((await said)[0]) as number[];

  t.equal(new Set([...own, ...others]).size, 2 * DRAWN, 'none was given twice');
  const [port = 0] = others;
  t.notOk(await claimPort(port), 'nobody listens on it, and it is taken');
  const ended = once(other, 'exit');
  other.kill('SIGKILL');
  await ended;
  t.ok(await claimPort(port), 'it ended without a word, and nothing of it is left');
});
