import { nowMs, waitFor, type ServiceProcess } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { RECOVERY_LIMIT_MS } from '../checks/check-recovery.ts';
import { checkSocketsKept } from '../checks/check-others.ts';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

interface Size {
  readonly users: number;
  readonly stoppedMs: number;
  /** Both services have to know by then that nobody answers. */
  readonly noticedMsMax: number;
  /** How far apart pings are, as a share of what it is in production. */
  readonly pingsScale: number;
  /** So long it stands still where nobody needs to notice. */
  readonly hiccups: { readonly count: number; readonly msMax: number };
}

const FULL: Size = {
  users: LOADED_USERS.full,
  stoppedMs: 30_000,
  noticedMsMax: 12_000,
  pingsScale: 1,
  hiccups: { count: 10, msMax: 3_000 },
};

/** Three unanswered pings of 750 ms in place of 3 s; the limit leaves as much again for a machine that is busy. */
const SHORT: Size = {
  users: LOADED_USERS.short,
  stoppedMs: 4_500,
  noticedMsMax: 4_000,
  pingsScale: 0.25,
  hiccups: { count: 2, msMax: 500 },
};

/**
 * What waited is published at least five times as fast as it came in, which is what a busy disk manages that has to
 * keep each event before it is acknowledged.
 */
const DRAIN_SHARE = 0.2;

/** Load flows before each stop. */
const FLOW_MS_MAX = 1_000;

/** As both services log it. */
const CONNECTION_LOST = /broker connection lost/;
const RELAY_IN_TROUBLE = /outbox relay: (not stored|interrupted)/;

/** When a service first said something after a moment, in milliseconds from it; null: it did not. */
function findLogMs(service: ServiceProcess, message: RegExp, since: number): number | null {
  for (const line of service.logs().split('\n')) {
    if (!message.test(line)) continue;
    const { time } = JSON.parse(line) as { time: number };
    if (time >= since) return Math.round(time - since);
  }
  return null;
}

/** @returns what is wrong: whoever did not notice that the broker stands still */
async function watchItNoticed(faultRun: FaultRun, { noticedMsMax }: Size, since: number): Promise<Violation[]> {
  const { auth, notify } = faultRun.stack;
  const watched = [
    { name: 'auth-service', service: auth, message: CONNECTION_LOST },
    { name: 'the relay', service: auth, message: RELAY_IN_TROUBLE },
    { name: 'notify-service', service: notify, message: CONNECTION_LOST },
  ];
  const readTimes = (): (number | null)[] => watched.map(({ service, message }) => findLogMs(service, message, since));
  await waitFor(() => readTimes().every((time) => time !== null), {
    timeoutMs: since + noticedMsMax - nowMs(),
    intervalMs: 100,
  }).catch(() => undefined); // who did not notice is told below
  const times = readTimes();
  const words = watched.map(({ name }, at) => `${name} after ${times[at] ?? '–'} ms`);
  faultRun.figures.push(`the broker's silence was noticed by ${words.join(', ')}`);
  return watched
    .filter((_, at) => (times[at] ?? Infinity) > noticedMsMax)
    .map(({ name }) => ({ invariant: 'I5', text: `${name} did not notice within ${noticedMsMax} ms that the broker stood still` }));
}

async function play({ t, random, progress }: ScenarioContext, size: Size, pingsScale: number): Promise<FaultRunResult> {
  const { hiccups, stoppedMs, users } = size;
  const env = { FAULT_BROKER_PINGS_SCALE: String(pingsScale) };
  const preload = new URL('../preloads/scaled-broker-pings.mjs', import.meta.url);
  const faultRun = await FaultRun.set(t, {
    random,
    progress,
    users,
    preload,
    recoveryLimitMs: RECOVERY_LIMIT_MS + stoppedMs * DRAIN_SHARE,
    stack: { authEnv: env, notifyEnv: env },
  });
  const { broker, ledger } = faultRun;
  await sleep(random() * FLOW_MS_MAX);
  const stoppedAt = nowMs();
  await broker.pause();
  progress('the broker stands still');
  const unnoticed = await watchItNoticed(faultRun, size, stoppedAt);
  await sleep(Math.max(0, stoppedAt + stoppedMs - nowMs()));
  await broker.resume();
  await faultRun.measureRecovery();
  for (let done = 0; done < hiccups.count; done += 1) {
    await sleep(random() * FLOW_MS_MAX);
    await broker.pause();
    await sleep(random() * hiccups.msMax);
    await broker.resume();
  }
  await faultRun.measureRecovery();
  const result = await faultRun.finish({ isAuthUnharmed: true });
  return { ...result, violations: [...result.violations, ...unnoticed, ...checkSocketsKept(ledger.clients)] };
}

function run(context: ScenarioContext): Promise<FaultRunResult> {
  const size = context.isFull ? FULL : SHORT;
  return play(context, size, size.pingsScale);
}

/** Services that never ask whether the broker is still there. */
function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const size = { ...SHORT, users: 10, stoppedMs: SHORT.noticedMsMax, hiccups: { count: 0, msMax: 0 } };
  return play(context, size, Infinity);
}

export const brokerStopped: Scenario = {
  id: 'F9',
  title: 'nats-server stands still for 30 s and goes on, then several times for up to 3 s',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'services that send the broker no pings',
    symptoms: [
      /^I5 auth-service did not notice within \d+ ms/,
      /^I5 the relay did not notice within \d+ ms/,
      /^I5 notify-service did not notice within \d+ ms/,
    ],
    run: runBroken,
  },
};
