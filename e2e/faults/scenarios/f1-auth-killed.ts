import type { EventEnvelope } from '@infrasignal/shared';
import { EVENTS_STREAM_NAME } from '@infrasignal/shared/plain';
import { readStream, waitFor } from '@infrasignal/testkit';
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

/** Rows that the broken relay gets hold of before each kill: more, as the real one may have read some of them already. */
const STOLEN_ROWS_MIN = 10;

const LOSS_TIMEOUT_MS = 30_000;

type KillsContext = Pick<ScenarioContext, 'random' | 'progress'>;

/** Marks rows and kills until one is nowhere: what the real relay had read before it was marked it publishes all the same. */
async function killUntilLost({ auths, stack }: FaultRun, { random, progress }: KillsContext): Promise<void> {
  const { database, nats } = stack;
  const stolenIds = new Set<string>();
  const isOneLost = async (): Promise<boolean> => {
    const enough = stolenIds.size + STOLEN_ROWS_MIN;
    await waitFor(
      async () => {
        const rows = await database.query<{ id: string }>(
          'update outbox set published_at = now() where published_at is null returning event_id as id',
        );
        for (const { id } of rows) stolenIds.add(id);
        return stolenIds.size >= enough;
      },
      { intervalMs: 1, timeoutMs: LOSS_TIMEOUT_MS, description: 'rows to be marked before they are published' },
    );
    await killOften(auths, { kills: 1, random, progress, upMsMax: 0, downMsMax: 0 });
    const messages = await readStream<EventEnvelope>({ url: nats.url, stream: EVENTS_STREAM_NAME });
    const storedIds = new Set(messages.map(({ data }) => data.id));
    return [...stolenIds].some((id) => !storedIds.has(id));
  };
  await waitFor(isOneLost, { timeoutMs: LOSS_TIMEOUT_MS, description: 'a row to be lost that was marked too early' });
}

/**
 * A relay that marks a row before the broker has it, and is killed in between: played by marking rows from outside as
 * soon as they are committed.
 */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const faultRun = await FaultRun.set(t, { random, progress, users: 10, patienceMs: CONTROL_PATIENCE_MS });
  await killUntilLost(faultRun, { random, progress });
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
