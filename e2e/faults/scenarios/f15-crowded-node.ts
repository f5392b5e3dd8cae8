import { setTimeout as sleep } from 'node:timers/promises';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, type Scenario, type ScenarioContext } from '../scenario.ts';

/**
 * 10,000 sockets at full length, all of which come back at once. They, the node and this process share the machine,
 * hence another limit than for a node with few; how long it takes is printed.
 */
const FULL = { users: 1_000, socketsPerUser: 10, recoveryLimitMs: 60_000 };
const SHORT = { users: 25, socketsPerUser: 10, recoveryLimitMs: 30_000 };

/** Events flow before the node is killed, and again when everybody is back. */
const FLOW_MS = { full: 5_000, short: 500 };

async function play(context: ScenarioContext, options: Partial<Parameters<typeof FaultRun.set>[1]>): Promise<FaultRunResult> {
  const { t, random, progress, isFull } = context;
  const flowMs = isFull ? FLOW_MS.full : FLOW_MS.short;
  const faultRun = await FaultRun.set(t, { random, progress, ...options });
  const [node] = faultRun.notifies;
  await sleep(flowMs);
  await node?.kill();
  await node?.start();
  progress('the node is up again');
  await faultRun.measureRecovery();
  await sleep(flowMs);
  return faultRun.finish({ isAuthUnharmed: true });
}

function run(context: ScenarioContext): Promise<FaultRunResult> {
  return play(context, context.isFull ? FULL : SHORT);
}

/** Clients that come back without their cursor, as if there were no resume. */
function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const broken = { users: 10, recoveryLimitMs: 1_000, patienceMs: CONTROL_PATIENCE_MS, chooseAfter: () => null };
  return play({ ...context, isFull: false }, broken);
}

export const crowdedNode: Scenario = {
  id: 'F15',
  title: 'the node that 10,000 sockets are on is killed',
  run,
  control: {
    title: 'clients that come back without a cursor',
    symptoms: [/^I[12] user .* (lost:|never received) seq/],
    run: runBroken,
  },
};
