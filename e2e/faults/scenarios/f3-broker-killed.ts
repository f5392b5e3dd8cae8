import { nowMs, waitFor } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { BROKER_FAULTS_IN_A_ROW, CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';
import { killOften } from './kill-often.ts';

const UP_MS_MAX = { full: 1_500, short: 500 };
const DOWN_MS_MAX = { full: 3_000, short: 800 };

/** The quick series: with default settings an ordered consumer stood still for 45 s after one like it. */
const QUICK_KILLS = 8;
const QUICK_SERIES_MS = 2_000;

async function run({ t, random, kills, isFull, progress }: ScenarioContext): Promise<FaultRunResult> {
  const length = isFull ? 'full' : 'short';
  const faultRun = await FaultRun.set(t, { random, progress, users: LOADED_USERS[length] });
  const { broker } = faultRun;
  const times = { upMsMax: UP_MS_MAX[length], downMsMax: DOWN_MS_MAX[length] };
  for (let done = 0; done < kills; done += BROKER_FAULTS_IN_A_ROW) {
    await killOften([broker], { kills: Math.min(BROKER_FAULTS_IN_A_ROW, kills - done), random, progress, ...times });
    await faultRun.measureRecovery();
  }

  const seriesStartedAt = performance.now();
  let lastStartedAt = 0;
  for (let done = 0; done < QUICK_KILLS; done += 1) {
    await sleep(Math.max(0, seriesStartedAt + (done * QUICK_SERIES_MS) / QUICK_KILLS - performance.now()));
    await broker.kill();
    lastStartedAt = nowMs();
    await broker.start();
  }
  const seriesMs = Math.round(performance.now() - seriesStartedAt);
  await faultRun.measureRecovery();
  const firstMs = faultRun.firstNotificationMs(lastStartedAt);
  const first = firstMs === null ? 'no event arrived' : `first event ${Math.round(firstMs)} ms after the last start`;
  faultRun.figures.push(`${QUICK_KILLS} kills in ${seriesMs} ms: ${first}`);
  return faultRun.finish({ isAuthUnharmed: true });
}

/** A relay that drops what it cannot publish: played by deleting from outside what waits while the broker is away. */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const faultRun = await FaultRun.set(t, { random, progress, users: 10, patienceMs: CONTROL_PATIENCE_MS });
  const { broker, stack } = faultRun;
  await broker.kill();
  const drop = (): Promise<object[]> => stack.database.query('delete from outbox where published_at is null returning id');
  await waitFor(async () => (await drop()).length > 0, { description: 'an event to wait for the broker' });
  await broker.start();
  return faultRun.finish();
}

export const brokerKilled: Scenario = {
  id: 'F3',
  title: 'nats-server is killed at random moments and is away for up to 3 s, then 8 times within 2 s',
  run,
  control: {
    title: 'a relay that drops what it cannot publish',
    symptoms: [/^I1 .* never reached the broker/],
    run: runBroken,
  },
};
