import { waitFor } from '@infrasignal/testkit';
import { ask, hangUp } from '../answers.ts';
import { describeAnswers } from '../checks/check-answers.ts';
import { RECOVERY_LIMIT_MS } from '../checks/check-recovery.ts';
import type { Violation } from '../checks/evidence.ts';
import { checkPoolBack, checkPoolGivenBack, TransactionLoad } from '../database-clients.ts';
import { answerMsMax, Outage, toEnvironment, type DatabaseLimits, type OutagePlan } from '../database-outage.ts';
import { DatabaseServer } from '../database-server.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** The times by default, and an outage that is longer than all of them together; a queue that a crowd can fill. */
const FULL: OutagePlan = {
  durationMs: 15_000,
  crowd: 400,
  limits: { connectMsMax: 3_000, statementMsMax: 5_000, waitingMax: 200 },
};

const SHORT: OutagePlan = {
  durationMs: 2_500,
  crowd: 100,
  limits: { connectMsMax: 1_500, statementMsMax: 800, waitingMax: 30 },
};

/** Less than load L in short: limits as short as those turn a busy machine into an overload that does not end. */
const SHORT_RATE_PER_SECOND = 15;

/** Settings under which nobody is answered in time, and all may wait. */
const PATIENT: DatabaseLimits = { connectMsMax: 60_000, statementMsMax: 60_000, waitingMax: 100_000 };

interface Scene {
  readonly run: FaultRun;
  readonly server: DatabaseServer;
}

async function set(
  { t, random, progress }: ScenarioContext,
  limits: DatabaseLimits,
  options: Partial<FaultRunOptions>,
): Promise<Scene> {
  const server = await DatabaseServer.start(t);
  const run = await FaultRun.set(t, {
    random,
    progress,
    stack: {
      createDatabase: () => Promise.resolve(server.database),
      links: ['authToDatabase'],
      authEnv: toEnvironment(limits),
    },
    ...options,
  });
  return { run, server };
}

/** Nothing passes between auth-service and its database, and then both hear that their connections are gone. */
async function blackHole({ run, server }: Scene, outage: Outage): Promise<void> {
  const proxies = run.stack.links.authToDatabase;
  for (const proxy of proxies) proxy.blackHole();
  await outage.last();
  for (const proxy of proxies) {
    proxy.reset();
    await proxy.heal();
  }
  await server.noteFault();
}

/** Every process of PostgreSQL stands still, and then goes on with what it was at. */
async function standStill({ server }: Scene, outage: Outage): Promise<void> {
  await server.pause();
  await outage.last();
  server.resume();
  await server.noteFault();
}

const FAULTS = { 'database black-holed, then reset': blackHole, 'database stopped (SIGSTOP)': standStill };

/** The fault is over: how soon requests work again, the service says so, and everything is through. */
async function recover({ run, server }: Scene, what: string): Promise<Violation[]> {
  const violations: Violation[] = [];
  const limits = { what, limitMs: RECOVERY_LIMIT_MS };
  for await (const violation of checkPoolBack(run, server, limits)) violations.push(violation);
  await run.measureRecovery();
  const isReady = async (): Promise<boolean> =>
    (await ask({ url: `${run.stack.auth.url}/readyz`, timeoutMs: RECOVERY_LIMIT_MS })).status === 200;
  const isReadyAgain = await waitFor(isReady, { timeoutMs: RECOVERY_LIMIT_MS }).catch(() => false);
  if (!isReadyAgain) violations.push({ invariant: 'I5', text: `${what}: /readyz does not say that it is over` });
  return violations;
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, isFull, progress } = context;
  const plan = isFull ? FULL : SHORT;
  const users = isFull ? LOADED_USERS.full : LOADED_USERS.short;
  const rate = isFull ? {} : { ratePerSecond: SHORT_RATE_PER_SECOND };
  const scene = await set(context, plan.limits, { users, ...rate });
  const { run, server } = scene;
  const violations: Violation[] = [];
  const transactions = new TransactionLoad(t, run);
  transactions.start();
  for (const [what, silence] of Object.entries(FAULTS)) {
    progress(`${what}, for ${plan.durationMs} ms`);
    const outage = new Outage(run, plan);
    await outage.prepare();
    await silence(scene, outage);
    run.countFault(what);
    violations.push(...(await recover(scene, what)), ...(await outage.judge(what)));
  }
  await run.stopLoad();
  violations.push(...(await transactions.stop()));
  for await (const violation of checkPoolGivenBack(run)) violations.push(violation);
  for (const text of await server.findLeftovers()) violations.push({ invariant: 'I5', text });
  run.figures.push(transactions.describe(), describeAnswers(run.ledger.operations));
  hangUp();
  const result = await run.finish();
  return { ...result, violations: [...result.violations, ...violations] };
}

/** A service that waits for its database for as long as it takes, and whoever comes may wait with it. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const scene = await set(context, PATIENT, { users: 5, ratePerSecond: 10, patienceMs: CONTROL_PATIENCE_MS });
  const { run } = scene;
  // Judged by the limits that it ought to have.
  const outage = new Outage(run, { ...SHORT, durationMs: answerMsMax(SHORT.limits) + 500 });
  await outage.prepare();
  await blackHole(scene, outage);
  const what = 'database black-holed';
  const violations = [...(await recover(scene, what)), ...(await outage.judge(what))];
  hangUp();
  const result = await run.finish();
  return { ...result, violations: [...result.violations, ...violations] };
}

export const databaseSilent: Scenario = {
  id: 'F8',
  title: 'PostgreSQL is black-holed, then reset; then all its processes are stopped, and go on',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'a service that waits for its database for ever, with all who come',
    symptoms: [/^I5 \d+ of \d+ requests had no answer within/, /^I5 \d+ requests waited, 30 may/],
    run: runBroken,
  },
};
