import { createTestDirectory, findDiskObstacle, startTestNats, TestDisk, waitFor } from '@infrasignal/testkit';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkBrokerLostNothing } from '../broker-loss.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** Room for every event of a run, several times over: what takes the space away is somebody else's file. */
const DISK_MIB = 48;

/** How often the disk fills up, and for how long at least it stays full. */
const FILLINGS = { full: 5, short: 2 };
const FULL_MS = { full: 10_000, short: 1_500 };

/** So many events wait at the least: what fits into a block that was begun is still stored on a full disk. */
const WAITING_MIN = 10;

interface Scene {
  readonly run: FaultRun;
  readonly disk: TestDisk;
}

async function set({ t, random, progress }: ScenarioContext, options: Partial<FaultRunOptions>): Promise<Scene> {
  const storeDirectory = createTestDirectory(t, 'infrasignal-nats-');
  const disk = await TestDisk.create(t, { mountPoint: join(storeDirectory, 'jetstream'), sizeMib: DISK_MIB });
  const startNats = (): ReturnType<typeof startTestNats> => startTestNats(t, { storeDirectory });
  return { run: await FaultRun.set(t, { random, progress, stack: { startNats }, ...options }), disk };
}

async function countWaiting({ stack }: FaultRun): Promise<number> {
  return (await stack.database.query('select 1 from outbox where published_at is null')).length;
}

async function fillUp({ run, disk }: Scene): Promise<void> {
  disk.fill();
  run.countFault('disk of the broker full');
  await waitUntilRefused(run);
}

async function waitUntilRefused(run: FaultRun): Promise<void> {
  const isRefused = async (): Promise<boolean> => (await countWaiting(run)) >= WAITING_MIN;
  await waitFor(isRefused, { timeoutMs: 30_000, description: 'the broker to store nothing more' });
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const length = context.isFull ? 'full' : 'short';
  const scene = await set(context, { users: LOADED_USERS[length] });
  const { run, disk } = scene;
  for (let done = 1; done <= FILLINGS[length]; done += 1) {
    await sleep(context.random() * 1_000);
    await fillUp(scene);
    await sleep(FULL_MS[length]);
    run.figures.push(`full for the ${done}. time: ${await countWaiting(run)} events waited when there was space again`);
    disk.free();
    await run.measureRecovery();
  }
  // What it answers from memory may be another thing than what it wrote on a disk that took only a part of it.
  await run.broker.kill();
  await run.broker.start();
  await run.measureRecovery();
  const lost = await checkBrokerLostNothing(run.stack);
  const result = await run.finish({ isAuthUnharmed: true });
  return { ...result, violations: [...lost, ...result.violations] };
}

/** What the relay held in its hands at a mark is stored all the same if there is space by then; of the first there is not. */
const MARKS = 6;

/** A relay that takes the refusal for an answer: played by marking from outside what waits while nothing can be stored. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const scene = await set(context, { users: 10, patienceMs: CONTROL_PATIENCE_MS });
  scene.disk.fill();
  for (let marked = 0; marked < MARKS; marked += 1) {
    await waitUntilRefused(scene.run);
    await scene.run.stack.database.query('update outbox set published_at = clock_timestamp() where published_at is null');
  }
  scene.disk.free();
  return scene.run.finish();
}

export const diskFull: Scenario = {
  id: 'F11',
  title: "the broker's disk is full, then has space again",
  findObstacle: findDiskObstacle,
  run,
  control: {
    title: 'a relay that takes “disk full” (error 10077) for final',
    symptoms: [/^I1 .* marked as published\) never reached the broker/],
    run: runBroken,
  },
};
