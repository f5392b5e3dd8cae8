// If this breaks, root cannot run a clone in its home: the database server, which must not run as root, has no access to
// it. Or the database that is kept elsewhere for that reason is lost, shared between two clones, or left behind.
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'tap';
import { createStateDirectory, findProcessesOf, runReset, startStackProcess } from './fixtures/stack-process.ts';

const isRoot = process.getuid?.() === 0;

test('the clone lies below a private folder', { skip: isRoot ? false : 'only root has this problem' }, async (t) => {
  const outer = createStateDirectory(t);
  const privateFolder = join(outer, 'private');
  mkdirSync(privateFolder, { mode: 0o700 });
  const stateDirectory = join(privateFolder, 'state');
  const stack = await startStackProcess(t, { stateDirectory });
  await stack.ready();
  const location = readFileSync(join(stateDirectory, 'postgres-location'), 'utf8').trim();
  t.match(location, /^\/var\/lib\/infrasignal\/[0-9a-f]{12}\/postgres$/);
  t.match(stack.output(), `for the database, ${location}`, 'the ready block says where it is');
  stack.child.kill('SIGTERM');
  t.equal(await stack.ended(), 0);

  await t.test('a copy of the clone gets a database of its own', async (inner) => {
    const copy = join(privateFolder, 'copy');
    cpSync(stateDirectory, copy, { recursive: true });
    const copied = await startStackProcess(inner, { stateDirectory: copy });
    await copied.ready();
    inner.not(readFileSync(join(copy, 'postgres-location'), 'utf8').trim(), location);
    copied.child.kill('SIGTERM');
    await copied.ended();
    t.equal((await runReset(copy)).code, 0);
    t.ok(existsSync(location), 'and its reset leaves the original’s alone');
  });

  await t.test('a clone that was moved keeps its database; reset removes it', async (inner) => {
    const moved = join(privateFolder, 'moved');
    renameSync(stateDirectory, moved);
    const again = await startStackProcess(inner, { stateDirectory: moved });
    await again.ready();
    inner.equal(readFileSync(join(moved, 'postgres-location'), 'utf8').trim(), location);
    again.child.kill('SIGTERM');
    await again.ended();
    const reset = await runReset(moved);
    inner.match(reset.output, `Removed ${dirname(location)}`);
    inner.notOk(existsSync(dirname(location)));
    inner.notOk(existsSync(moved));
  });
});

test('the folder above became private later', { skip: isRoot ? false : 'only root has this problem' }, async (t) => {
  const outer = createStateDirectory(t);
  const folder = join(outer, 'folder');
  mkdirSync(folder);
  const stateDirectory = join(folder, 'state');
  const first = await startStackProcess(t, { stateDirectory });
  await first.ready();
  first.child.kill('SIGTERM');
  await first.ended();
  chmodSync(folder, 0o700);
  const second = await startStackProcess(t, { stateDirectory });
  t.equal(await second.ended(), 1);
  t.match(second.output(), /Cause: [^]*may no longer enter the folders above[^]*Cure: [^]*chmod o\+x/);
  t.same(findProcessesOf(stateDirectory), []);
  chmodSync(folder, 0o755);
  const third = await startStackProcess(t, { stateDirectory });
  await third.ready();
  t.pass('and with the cure it works again');
});
