import { createTestDirectory, findDiskObstacle, startTestNats, TestDisk, waitFor, type TestContext } from '@infrasignal/testkit';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkBrokerLostNothing } from '../broker-loss.ts';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { BROKER_FAULTS_IN_A_ROW, CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** A hundred cuts take five minutes: 15,000 events of half a kilobyte. A small disk is a quick copy. */
const DISK_MIB = { full: 128, short: 32 };

const UP_MS_MAX = { full: 1_500, short: 700 };
const DOWN_MS_MAX = { full: 1_500, short: 300 };

/** Of the kills that a short run is asked for. */
const SHORT_CUTS = 2;

/** By then a broker has a stream that it never had before, and half of what was to be brought back to it. */
const FIRST_BOOT_MS = 1_000;

interface Scene {
  readonly run: FaultRun;
  /** Where the broker keeps its streams; its configuration and its log are elsewhere. */
  readonly disk: TestDisk;
}

async function set(t: TestContext, options: FaultRunOptions, sizeMib: number, jetstream?: string): Promise<Scene> {
  const storeDirectory = createTestDirectory(t, 'infrasignal-nats-');
  const mountPoint = join(storeDirectory, 'jetstream');
  const disk = await TestDisk.create(t, { mountPoint, sizeMib });
  const extraConfig = jetstream === undefined ? '' : `jetstream { store_dir: ${JSON.stringify(storeDirectory)}, ${jetstream} }`;
  const startNats = (): ReturnType<typeof startTestNats> => startTestNats(t, { storeDirectory, extraConfig });
  return { run: await FaultRun.set(t, { ...options, stack: { startNats } }), disk };
}

async function cutPower({ run, disk }: Scene): Promise<void> {
  await run.broker.kill('cut off from power');
  await disk.cutPower();
}

/** At random moments under load; the broker has everything that it acknowledged. */
async function cutOften(scene: Scene, { random, kills, isFull, progress }: ScenarioContext): Promise<Violation[]> {
  const length = isFull ? 'full' : 'short';
  const cuts = isFull ? kills : Math.min(kills, SHORT_CUTS);
  for (let done = 1; done <= cuts; done += 1) {
    await sleep(random() * UP_MS_MAX[length]);
    await cutPower(scene);
    await sleep(random() * DOWN_MS_MAX[length]);
    await scene.run.broker.start();
    if (done % 5 === 0) progress(`${done} of ${cuts} power cuts`);
    if (done % BROKER_FAULTS_IN_A_ROW === 0 || done === cuts) await scene.run.measureRecovery();
  }
  return checkBrokerLostNothing(scene.run.stack);
}

/** The disk is gone with all it had, and the new one loses its power when the broker has just begun to use it. */
async function cutAfterFirstBoot(scene: Scene): Promise<void> {
  const { run, disk } = scene;
  await run.broker.kill('bereft of its disk');
  await disk.replaceByEmpty();
  await run.broker.start();
  await sleep(FIRST_BOOT_MS);
  await cutPower(scene);
  await run.broker.start();
  await run.measureRecovery();
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, random, progress, isFull } = context;
  const length = isFull ? 'full' : 'short';
  const scene = await set(t, { random, progress, users: LOADED_USERS[length] }, DISK_MIB[length]);
  const lost = await cutOften(scene, context);
  await cutAfterFirstBoot(scene);
  const result = await scene.run.finish({ isAuthUnharmed: true, allowances: { mayRepeatInStream: true } });
  return { ...result, violations: [...lost, ...result.violations] };
}

/** Fewer would be missed by chance: a cut loses what the kernel had not yet written of its own accord. */
const ACKNOWLEDGED_MIN = 50;

/**
 * Two broken parts. A broker that acknowledges what it has not flushed: it has its default settings. A relay that
 * deletes what was acknowledged, played by a trigger: there is nothing to bring back.
 */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const options = { random, progress, users: 10, patienceMs: CONTROL_PATIENCE_MS };
  const scene = await set(t, options, DISK_MIB.short, 'sync_interval: 2m');
  const { database } = scene.run.stack;
  await database.query(`
    create function delete_on_ack() returns trigger language plpgsql
    as $$ begin delete from outbox where id = new.id; return null; end $$`);
  await database.query(
    'create trigger delete_on_ack after update of published_at on outbox for each row execute function delete_on_ack()',
  );
  await waitFor(async () => (await database.query('select 1 from deleted_outbox')).length >= ACKNOWLEDGED_MIN);
  await cutPower(scene);
  await scene.run.broker.start();
  const result = await scene.run.finish(); // by its end the relay has made a stream again
  return { ...result, violations: [...(await checkBrokerLostNothing(scene.run.stack)), ...result.violations] };
}

export const brokerPowerCut: Scenario = {
  id: 'F5',
  title: "the broker's disk loses its power at random moments, then is replaced and loses it 1 s after the first boot",
  findObstacle: findDiskObstacle,
  run,
  control: {
    title: 'a broker that flushes later, and a relay that deletes what was acknowledged',
    symptoms: [/^I1 .* was lost by the broker: it is not in the stream/, /^I1 .* marked as published\) never reached the broker/],
    run: runBroken,
  },
};
