import { createTestDirectory, nowMs, scrape, startTestNats, waitFor, type TestContext, type TestNats } from '@infrasignal/testkit';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import { pick, type Random } from '../random.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';
import type { Victim } from '../victim.ts';

/** Where stopped-at.mjs can make the leader stand still; `any`: from outside, wherever it is. */
const MOMENTS = ['after-select', 'before-publish', 'after-acknowledgement', 'before-mark', 'any'] as const;
type Moment = (typeof MOMENTS)[number];

interface Size {
  readonly users: number;
  /** It stands still at least so long, and until another leads and has published what this one had in hand. */
  readonly stoppedMs: number;
  readonly env: Readonly<Record<string, string>>;
  /** So long after that no id of it is recognised by the broker any more; null: the stop ends before. */
  readonly forgottenMs: number | null;
  readonly startNats: (t: TestContext) => Promise<TestNats>;
}

const FULL: Size = {
  users: LOADED_USERS.full,
  stoppedMs: 60_000,
  env: {},
  forgottenMs: null,
  startNats: (t) => startTestNats(t),
};

const SHORT_WINDOW_SECONDS = 2;

/**
 * Production made small: the leader's time-out, the broker's patience with a client that does not answer its pings, and
 * the window in which it recognises repeats, in this order. The stop is longer than all of them, which in production
 * would take a quarter of an hour: neither the broker's memory nor the old connection helps any more.
 */
const SHORT: Size = {
  users: LOADED_USERS.short,
  stoppedMs: 0,
  env: { RELAY_LEADER_TIMEOUT_SECONDS: '2', DUPLICATE_WINDOW_SECONDS: String(SHORT_WINDOW_SECONDS) },
  forgottenMs: SHORT_WINDOW_SECONDS * 1_250,
  startNats: (t) => startTestNats(t, { extraConfig: 'ping_interval: "500ms"\nping_max: 2' }),
};

/** A moment of the relay's work comes many times a second. */
const MOMENT_TIMEOUT_MS = 10_000;

/** The database's patience with a leader, and the time of a busy machine. */
const TAKEOVER_TIMEOUT_MS = 30_000;

/** The broker stands still for so long before the leader does: what waits then makes a batch with several rows of a user. */
const BACKLOG_MS = 700;

/** A process that is stopped finds that time has passed; one in a virtual machine that was suspended may not. */
const CLOCK_BLIND_SHARE = 0.5;

/** Two instances: one leads, the other one takes over. */
const INSTANCES = 2;

interface Scene {
  readonly faultRun: FaultRun;
  readonly directory: string;
  readonly random: Random;
  readonly size: Size;
}

interface Breakage {
  /** Its clock stands still with it. */
  readonly isClockBlind: boolean;
  readonly isLockUnwatched: boolean;
  readonly patienceMs?: number;
}

async function set({ t, random, progress }: ScenarioContext, size: Size, breakage: Breakage): Promise<Scene> {
  const { patienceMs, isClockBlind, isLockUnwatched } = breakage;
  const directory = createTestDirectory(t, 'infrasignal-stop-');
  const faultRun = await FaultRun.set(t, {
    random,
    progress,
    users: size.users,
    preload: new URL('../preloads/stopped-at.mjs', import.meta.url),
    ...(patienceMs === undefined ? {} : { patienceMs }),
    stack: {
      authInstances: INSTANCES,
      authEnv: {
        ...size.env,
        FAULT_STOP_DIRECTORY: directory,
        FAULT_CLOCK_STANDS: String(isClockBlind),
        FAULT_LOCK_UNWATCHED: String(isLockUnwatched),
      },
      startNats: size.startNats,
    },
  });
  return { faultRun, directory, random, size };
}

async function findLeaders({ faultRun }: Scene, victims: readonly Victim[]): Promise<Victim[]> {
  const leaders: Victim[] = [];
  for (const victim of victims) {
    const url = faultRun.stack.auths.find(({ pid }) => pid === victim.pid)?.url ?? '';
    if ((await scrape(url)).sum('infrasignal_outbox_relay_leading') === 1) leaders.push(victim);
  }
  return leaders;
}

/** @returns the leader, which stands still */
async function stopLeaderAt(moment: Moment, scene: Scene): Promise<Victim> {
  const { directory, faultRun } = scene;
  const { auths, broker } = faultRun;
  await broker.pause();
  await sleep(scene.random() * BACKLOG_MS);
  if (moment === 'any') {
    const [leader] = await findLeaders(scene, auths);
    await broker.resume();
    if (leader === undefined) return stopLeaderAt(moment, scene);
    await leader.pause();
    return leader;
  }
  writeFileSync(join(directory, moment), '');
  await broker.resume();
  const findStopped = (): Victim | undefined => {
    const [file] = readdirSync(directory).filter((name) => name.startsWith('stopped-'));
    return auths.find(({ pid }) => file === `stopped-${pid}`);
  };
  const leader = await waitFor(findStopped, {
    timeoutMs: MOMENT_TIMEOUT_MS,
    description: `the relay to stand still (${moment})`,
  });
  rmSync(join(directory, `stopped-${leader.pid}`));
  await leader.pause();
  return leader;
}

async function countUnpublished({ faultRun }: Scene, throughId: number): Promise<number> {
  const [row] = await faultRun.stack.database.query<{ count: number }>(
    'select count(*)::int as count from outbox where published_at is null and id <= $1',
    [throughId],
  );
  return row?.count ?? 0;
}

async function findLastRowId({ faultRun }: Scene): Promise<number> {
  const [row] = await faultRun.stack.database.query<{ id: number }>('select max(id)::float8 as id from outbox');
  return row?.id ?? 0;
}

/** One leader stands still, another one does its work, the first one goes on where it was. */
async function stopAndGoOn(moment: Moment, scene: Scene): Promise<void> {
  const { faultRun, size } = scene;
  const { api, auths, figures, stack } = faultRun;
  const leader = await stopLeaderAt(moment, scene);
  const stoppedAt = nowMs();
  const inHand = await findLastRowId(scene);
  // What reached it before that waits; nobody sends more to one that does not answer.
  api.takeOut(stack.auths.filter(({ pid }) => pid === leader.pid).map(({ url }) => url));
  const others = auths.filter((victim) => victim !== leader);
  await waitFor(async () => (await findLeaders(scene, others)).length === 1, {
    timeoutMs: TAKEOVER_TIMEOUT_MS,
    description: 'another instance to lead',
  });
  const takeoverSeconds = ((nowMs() - stoppedAt) / 1_000).toFixed(1);
  await waitFor(async () => (await countUnpublished(scene, inHand)) === 0, {
    timeoutMs: TAKEOVER_TIMEOUT_MS,
    description: 'the new leader to publish what the old one had in hand',
  });
  await sleep(Math.max(size.forgottenMs ?? 0, stoppedAt + size.stoppedMs - nowMs()));
  await leader.resume();
  api.takeOut([]);
  const stoppedSeconds = ((nowMs() - stoppedAt) / 1_000).toFixed(1);
  figures.push(`stopped for ${stoppedSeconds} s (${moment}); after ${takeoverSeconds} s another instance led`);
  await faultRun.measureRecovery();
}

/** The leader changes each time, so that each instance is stopped. */
async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const isClockBlind = context.random() < CLOCK_BLIND_SHARE;
  const scene = await set(context, context.isFull ? FULL : SHORT, { isClockBlind, isLockUnwatched: false });
  scene.faultRun.figures.push(`the leader's clock ${isClockBlind ? 'stood still with it' : 'went on'}`);
  for (const moment of context.isFull ? MOMENTS : [pick(context.random, MOMENTS)]) {
    context.progress(`the leader is stopped: ${moment}`);
    await stopAndGoOn(moment, scene);
  }
  return scene.faultRun.finish();
}

/**
 * A relay that believes it still leads: to its eyes no time has passed, and what becomes of its lock it does not ask.
 * The broker does not help out by hanging up on it.
 */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const size: Size = { ...SHORT, users: 10, startNats: FULL.startNats };
  const scene = await set(context, size, { isClockBlind: true, isLockUnwatched: true, patienceMs: CONTROL_PATIENCE_MS });
  await stopAndGoOn('before-publish', scene);
  return scene.faultRun.finish();
}

export const leaderStopped: Scenario = {
  id: 'F10',
  title: 'the leader of the relay stands still for 60 s with events in hand, another takes over, and it goes on',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'a relay that believes it still leads',
    symptoms: [/^I1 .* is in the stream 2 times/],
    run: runBroken,
  },
};
