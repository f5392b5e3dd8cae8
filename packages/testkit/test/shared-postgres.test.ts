// If this breaks, every test file starts a server of its own and the machine drowns, or servers are left running when
// the tests are over.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { PROJECT_ROOT } from '@infrasignal/local-stack';
import { createTestDirectory, waitFor } from '../src/index.ts';

interface Lease {
  child: ChildProcess;
  url: Promise<string>;
}

function takeLease(directory: string): Lease {
  const script = fileURLToPath(new URL('fixtures/leases-postgres.ts', import.meta.url));
  const args = ['--conditions=@infrasignal/source', '--import', 'tsx', script, directory];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const child = spawn(process.execPath, args, { cwd: PROJECT_ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const url = new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => {
      resolve(chunk.toString());
    });
    child.once('exit', () => {
      reject(new Error('ended without a lease'));
    });
  });
  return { child, url };
}

/** Command lines of the keeper and the server of a directory. */
function processesOf(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((commandLine) => commandLine.includes(directory) && !commandLine.includes('leases-postgres'));
}

test('many test processes at once share one server, which leaves with the last of them', async (t) => {
  const directory = createTestDirectory(t);
  const leases = [1, 2, 3, 4].map(() => takeLease(directory));
  t.teardown(() => {
    for (const { child } of leases) child.kill('SIGKILL');
  });
  const urls = await Promise.all(leases.map(({ url }) => url));
  t.equal(new Set(urls).size, 1);
  // Children of the server have its command line until they give themselves another.
  await waitFor(() => processesOf(directory).length === 2, { description: 'one keeper, one server' });

  leases[0]?.child.kill('SIGKILL');
  const late = takeLease(directory);
  leases.push(late);
  t.equal(await late.url, urls[0]);
  for (const { child } of leases) child.kill('SIGKILL');
  await waitFor(() => processesOf(directory).length === 0, { description: 'keeper and server to leave' });
  t.notOk(existsSync(join(directory, 'server')), 'nothing of it is left on the disk');

  const next = takeLease(directory);
  leases.push(next);
  t.ok(await next.url, 'and it comes again when it is needed');
  next.child.kill('SIGKILL');
  await waitFor(() => processesOf(directory).length === 0, { description: 'keeper and server to leave' });
});
