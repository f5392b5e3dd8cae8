// If this breaks: power cuts that cut nothing, and a machine that fills with mounts of tests that were killed.
import { findDiskObstacle, createTestDirectory, TestDisk, waitFor } from '@infrasignal/testkit';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const obstacle = await findDiskObstacle();
const options = obstacle === null ? {} : { skip: obstacle };

function writeFlushed(path: string, text: string): void {
  const file = openSync(path, 'w');
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file); // an open file keeps the disk mounted
  }
}

t.test('a power cut keeps what was flushed, loses the rest, and the disk works on', options, async (t) => {
  const mountPoint = join(createTestDirectory(t), 'disk');
  const disk = await TestDisk.create(t, { mountPoint, sizeMib: 8 });
  for (const round of [1, 2]) {
    writeFlushed(join(mountPoint, `flushed-${round}`), `text ${round}`);
    writeFileSync(join(mountPoint, `not-flushed-${round}`), 'text');
    await disk.cutPower();
    t.equal(readFileSync(join(mountPoint, `flushed-${round}`), 'utf8'), `text ${round}`);
    t.notOk(existsSync(join(mountPoint, `not-flushed-${round}`)));
  }
  await disk.replaceByEmpty();
  t.notOk(existsSync(join(mountPoint, 'flushed-1')));
});

t.test('a disk fills up to the last byte, and has space again', options, async (t) => {
  const mountPoint = join(createTestDirectory(t), 'disk');
  const disk = await TestDisk.create(t, { mountPoint, sizeMib: 8 });
  disk.fill();
  const writeMore = (): void => {
    writeFlushed(join(mountPoint, 'more'), 'x'.repeat(4_096));
  };
  t.throws(writeMore, { code: 'ENOSPC' });
  disk.free();
  t.doesNotThrow(writeMore);
});

t.test('a process that is killed leaves no mount behind', options, async (t) => {
  const entry = fileURLToPath(new URL('fixtures/disk-owner.ts', import.meta.url));
  const flags = ['--conditions=@infrasignal/source', '--import', 'tsx', entry];
  const { PATH, HOME } = process.env;
  const owner = spawn(process.execPath, flags, { env: { PATH, HOME }, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => owner.kill('SIGKILL'));
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const mountPoint = line.toString('utf8').trim();
  t.not(statSync(mountPoint).dev, statSync(dirname(mountPoint)).dev, 'mounted');
  owner.kill('SIGKILL');
  const isGone = (): boolean => !existsSync(dirname(mountPoint));
  await waitFor(isGone, { description: 'the mount and its directory to be gone' });
});
