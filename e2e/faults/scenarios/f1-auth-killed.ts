import { waitFor } from '@infrasignal/testkit';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';
import { killOften } from './kill-often.ts';

const UP_MS_MAX = { full: 1_500, short: 700 };

/** Two instances: one is the relay's leader, and with each kill of it leadership has to move. */
const INSTANCES = 2;

async function run({ t, random, kills, isFull, progress }: ScenarioContext): Promise<FaultRunResult> {
  const length = isFull ? 'full' : 'short';
  const load = { users: LOADED_USERS[length], stack: { authInstances: INSTANCES } };
  const faultRun = await FaultRun.set(t, { random, progress, ...load });
  await killOften(faultRun.auths, { kills, random, progress, upMsMax: UP_MS_MAX[length], downMsMax: 0 });
  await faultRun.measureRecovery();
  return faultRun.finish();
}

/** Rows that the broken relay got hold of before the real one did; one would do. */
const STOLEN_ROWS_MIN = 10;

/**
 * A relay that marks a row before the broker has it, and is killed in between: played by marking rows from outside as
 * soon as they are committed.
 */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const faultRun = await FaultRun.set(t, { random, progress, users: 10, patienceMs: CONTROL_PATIENCE_MS });
  const { database } = faultRun.stack;
  let stolen = 0;
  await waitFor(
    async () => {
      const rows = await database.query('update outbox set published_at = now() where published_at is null returning id');
      stolen += rows.length;
      return stolen >= STOLEN_ROWS_MIN;
    },
    { intervalMs: 1, description: 'rows to be marked before they are published' },
  );
  await killOften(faultRun.auths, { kills: 1, random, progress, upMsMax: 0, downMsMax: 0 });
  return faultRun.finish();
}

export const authKilled: Scenario = {
  id: 'F1',
  title: 'auth-service is killed at random moments, one instance or both at once',
  run,
  control: {
    title: 'a relay that marks before it publishes',
    symptoms: [/^I1 .* marked as published\) never reached the broker/],
    run: runBroken,
  },
};
