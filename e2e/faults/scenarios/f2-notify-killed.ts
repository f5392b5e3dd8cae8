import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';
import { killOften } from './kill-often.ts';

const UP_MS_MAX = { full: 1_500, short: 700 };

/** Two nodes: a client that is cut off resumes on the other one, or finds none when both are gone. */
const NODES = 2;

async function run({ t, random, kills, isFull, progress }: ScenarioContext): Promise<FaultRunResult> {
  const length = isFull ? 'full' : 'short';
  const load = { users: LOADED_USERS[length], stack: { notifyInstances: NODES } };
  const faultRun = await FaultRun.set(t, { random, progress, ...load });
  await killOften(faultRun.notifies, { kills, random, progress, upMsMax: UP_MS_MAX[length], downMsMax: 0 });
  await faultRun.measureRecovery();
  return faultRun.finish({ isAuthUnharmed: true });
}

/** Clients that come back without their cursor, as if there were no resume. */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const broken = { patienceMs: CONTROL_PATIENCE_MS, chooseAfter: () => null };
  const faultRun = await FaultRun.set(t, { random, progress, users: 10, ...broken });
  await killOften(faultRun.notifies, { kills: 1, random, progress, upMsMax: UP_MS_MAX.short, downMsMax: 0 });
  return faultRun.finish();
}

export const notifyKilled: Scenario = {
  id: 'F2',
  title: 'notify-service is killed at random moments, one node or both at once',
  run,
  control: { title: 'clients that come back without a cursor', symptoms: [/^I[12] user .* (lost:|never received) seq/], run: runBroken },
};
