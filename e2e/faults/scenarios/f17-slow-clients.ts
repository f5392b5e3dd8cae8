import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkSocketsKept } from '../checks/check-others.ts';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';
import { SlowCrowd } from '../slow-crowd.ts';
import { readPeakMib } from '../victim.ts';

/** 2,000 connections at full length. */
const CONNECTIONS_PER_KILL = 20;

/** What the services allow is no setting: in short runs a module shortens it. */
const LIMITS_SCALE = { full: 1, short: 0.2 };

/** Longer than a request may take: everybody in the crowd is thrown out and comes back. */
const ATTACK_MS = 18_000;

/** 13 s for a request, a second until that is noticed and one for its answer to be read. */
const LIMITS_PASSED_MS = 17_000;

/** The same on a machine that is busy with other things. */
const LIMITS_PASSED_MS_MAX = 60_000;

/** What a client sees as closed is kept by the service for another second, for the last answer to be read. */
const LINGER_MS = { full: 3_000, short: 1_500 };

/** The load keeps its connections; others come anew all the time and must find the door open. */
const NEWCOMER_INTERVAL_MS = 250;

/** Far longer than an answer takes on the slowest machine. */
const NEWCOMER_TIMEOUT_MS = 5_000;

/** @param scale of the time that a connection may take; Infinity: as if nobody had set a limit */
function limitsScaledBy(scale: number): Pick<FaultRunOptions, 'preload' | 'stack'> {
  const env = { FAULT_CONNECTION_LIMITS_SCALE: String(scale) };
  return { preload: new URL('../preloads/scaled-connection-limits.mjs', import.meta.url), stack: { authEnv: env, notifyEnv: env } };
}

function startCrowd({ t, kills }: ScenarioContext, { stack }: FaultRun): Promise<SlowCrowd> {
  const targets = [
    { url: stack.auth.url, largePath: '/api/openapi.json' },
    { url: stack.notify.url, largePath: '/ws/asyncapi.json' },
  ];
  return SlowCrowd.gather(t, targets, kills * CONNECTIONS_PER_KILL);
}

/** Somebody new, on a connection of their own. @returns what was wrong, or null */
function knock(url: string): Promise<string | null> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: NEWCOMER_TIMEOUT_MS }, (answer) => {
      answer.resume().on('end', () => {
        resolve(answer.statusCode === 200 ? null : `${url} answered ${answer.statusCode}`);
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', ({ message }) => {
      resolve(`${url}: ${message}`);
    });
  });
}

/** Lets time pass and newcomers come, until all of a crowd are gone if there is one to wait for. */
async function pass(ms: number, { stack }: FaultRun, crowd?: SlowCrowd): Promise<Violation[]> {
  const until = performance.now() + ms;
  const violations: Violation[] = [];
  while (performance.now() < until && crowd?.open !== 0) {
    await sleep(NEWCOMER_INTERVAL_MS);
    for (const { url } of [stack.auth, stack.notify]) {
      const text = await knock(`${url}/healthz`);
      if (text !== null) violations.push({ invariant: 'I5', text: `a newcomer at ${text}` });
    }
  }
  return violations;
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, random, isFull, progress } = context;
  const length = isFull ? 'full' : 'short';
  const scale = LIMITS_SCALE[length];
  const faultRun = await FaultRun.set(t, { random, progress, users: LOADED_USERS[length], ...limitsScaledBy(scale) });
  const { auth, notify } = faultRun.stack;
  const before = [auth, notify].map(({ pid }) => readPeakMib(pid));
  const crowd = await startCrowd(context, faultRun);
  const turnedAway = await pass(ATTACK_MS * scale, faultRun);
  crowd.stopReturning();
  progress(`${crowd.returns} of the slow connections were closed and opened again`);
  turnedAway.push(...(await pass(LIMITS_PASSED_MS_MAX, faultRun, crowd)), ...(await pass(LINGER_MS[length], faultRun)));
  const grown = [auth, notify].map(({ pid }, at) => readPeakMib(pid) - (before[at] ?? 0));
  faultRun.figures.push(`at the peak auth-service used ${grown[0]} MiB more than before, notify-service ${grown[1]} MiB`);
  await faultRun.measureRecovery();
  const result = await faultRun.finish({ isAuthUnharmed: true });
  return { ...result, violations: [...result.violations, ...turnedAway, ...checkSocketsKept(faultRun.ledger.clients)] };
}

/** Services without the limits. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, random, isFull, progress } = context;
  const faultRun = await FaultRun.set(t, { random, progress, users: 10, ...limitsScaledBy(Infinity) });
  const crowd = await startCrowd(context, faultRun);
  crowd.stopReturning();
  await pass(LIMITS_PASSED_MS * LIMITS_SCALE[isFull ? 'full' : 'short'], faultRun);
  await faultRun.measureRecovery();
  return faultRun.finish({ isAuthUnharmed: true });
}

export const slowClients: Scenario = {
  id: 'F17',
  title: '2,000 connections send and read as slowly as they can (20 for each of the kills)',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'servers that wait for slow senders for ever',
    symptoms: [/^I5 auth-service has \d+ descriptors open/, /^I5 notify-service has \d+ descriptors open/],
    run: runBroken,
  },
};
