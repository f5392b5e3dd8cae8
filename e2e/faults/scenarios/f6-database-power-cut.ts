import {
  createTestDirectory,
  findDiskObstacle,
  openServersDatabase,
  startTestPostgres,
  TestDisk,
  waitFor,
  type TestContext,
  type TestPostgres,
} from '@infrasignal/testkit';
import { makeDirectoryForPostgres } from '@infrasignal/local-stack';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killWholeServer } from '../database-server.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** An empty cluster is 40 MB, and its log of changes may grow to 128 (see {@link SETTINGS}). */
const DISK_MIB = 384;

/** A log that is recycled early keeps the disk small; it is flushed no less. */
const SETTINGS = { max_wal_size: '128MB', min_wal_size: '32MB' };

const UP_MS_MAX = { full: 2_000, short: 700 };
const DOWN_MS_MAX = { full: 1_500, short: 300 };

/** Of the kills that a short run is asked for. */
const SHORT_CUTS = 2;

interface Scene {
  readonly run: FaultRun;
  readonly disk: TestDisk;
  readonly server: TestPostgres;
}

async function set(t: TestContext, options: FaultRunOptions, settings: Record<string, string>): Promise<Scene> {
  const directory = createTestDirectory(t, 'infrasignal-postgres-disk-');
  chmodSync(directory, 0o711); // the server's user passes through
  const mountPoint = join(directory, 'disk');
  const disk = await TestDisk.create(t, { mountPoint, sizeMib: DISK_MIB });
  const parentDirectory = join(mountPoint, 'server');
  makeDirectoryForPostgres(parentDirectory);
  const server = await startTestPostgres(t, { isDurable: true, settings: { ...SETTINGS, ...settings }, parentDirectory });
  const createDatabase = async (): Promise<ReturnType<typeof openServersDatabase>> => openServersDatabase(t, server);
  const run = await FaultRun.set(t, { ...options, stack: { createDatabase } });
  return { run, disk, server };
}

async function cutPower({ run, server, disk }: Scene): Promise<void> {
  await killWholeServer(server);
  await disk.cutPower();
  run.countFault('PostgreSQL cut off from power');
}

async function run({ t, random, kills, isFull, progress }: ScenarioContext): Promise<FaultRunResult> {
  const length = isFull ? 'full' : 'short';
  const scene = await set(t, { random, progress, users: LOADED_USERS[length] }, {});
  const cuts = isFull ? kills : Math.min(kills, SHORT_CUTS);
  for (let done = 1; done <= cuts; done += 1) {
    await sleep(random() * UP_MS_MAX[length]);
    await cutPower(scene);
    await sleep(random() * DOWN_MS_MAX[length]);
    await scene.server.restart();
    if (done % 5 === 0) progress(`${done} of ${cuts} power cuts`);
  }
  await scene.run.measureRecovery();
  return scene.run.finish();
}

/** The server keeps what was answered in its memory for so long. The longest that can be set: a cut always costs some. */
const UNFLUSHED = { synchronous_commit: 'off', wal_writer_delay: '10s' };

/** Some dozen commits. Fewer might be none that was answered; a flush by chance makes the wait for them longer. */
const UNFLUSHED_BYTES = 32_768;

async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const options = { random, progress, users: 10, patienceMs: CONTROL_PATIENCE_MS };
  const scene = await set(t, options, UNFLUSHED);
  const { database } = scene.run.stack;
  await database.query('checkpoint'); // the tables and the first users are not to be lost
  const isMuchUnflushed = async (): Promise<boolean> => {
    const question = 'select (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::int as bytes';
    const [row] = await database.query<{ bytes: number }>(question);
    return (row?.bytes ?? 0) >= UNFLUSHED_BYTES;
  };
  await waitFor(isMuchUnflushed, { description: 'answered operations that are not on the disk' });
  await cutPower(scene);
  await scene.server.restart();
  return scene.run.finish();
}

export const databasePowerCut: Scenario = {
  id: 'F6',
  title: 'the disk of PostgreSQL loses its power at random moments',
  findObstacle: findDiskObstacle,
  run,
  control: {
    title: 'a database that answers before it has flushed',
    symptoms: [/^I1 .* (succeeded, but no event was committed|was answered with success, but there is no such user)/],
    run: runBroken,
  },
};
