import { waitFor, type FaultProxy, type ServiceProcess } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { Clocks, SHIFTED_CLOCK } from '../clocks.ts';
import { RECOVERY_LIMIT_MS } from '../checks/check-recovery.ts';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { pick, shuffle, type Random } from '../random.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';
import { SessionProbe, type Complaints } from '../session-probe.ts';
import type { Victim } from '../victim.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const SHIFTS_MS = [-DAY_MS, -10 * MINUTE_MS, 10 * MINUTE_MS, DAY_MS];

/** Short enough for ten minutes to matter, long enough for the clients of a run, which never refresh. */
const ACCESS_TOKEN_TTL_SECONDS = 420;

/** Timers look at the clock this often at the latest: one that goes by the time of day has fired by then. */
const TIMERS_LOOK_MS = 1_000;

/** A service whose clock can be off by itself, and what connects it to its servers. */
interface Suspect {
  readonly victim: Victim;
  readonly process: ServiceProcess;
  readonly links: readonly (FaultProxy | undefined)[];
}

/** How a clock comes to be wrong: it is set while the service runs, or was wrong when it started. */
type Manner = 'step' | 'start';

interface Case {
  readonly suspect: Suspect;
  readonly shiftMs: number;
  readonly manner: Manner;
}

interface Scene {
  readonly run: FaultRun;
  readonly clocks: Clocks;
  readonly violations: Violation[];
  /** Used all the time. */
  readonly used: SessionProbe;
  /** Ended before anything was wrong. */
  readonly ended: SessionProbe;
}

type SceneOptions = Pick<FaultRunOptions, 'users' | 'preload' | 'patienceMs'>;

async function set(context: ScenarioContext, options: SceneOptions): Promise<Scene> {
  const { t, random, progress, isFull } = context;
  const clocks = new Clocks(t);
  const run = await FaultRun.set(t, {
    random,
    progress,
    ...options,
    stack: {
      links: ['authToDatabase', 'authToBroker', 'notifyToBroker', 'notifyToAuth'],
      authInstances: 2,
      notifyInstances: isFull ? 2 : 1,
      authEnv: { ...clocks.env, ACCESS_TOKEN_TTL_SECONDS: String(ACCESS_TOKEN_TTL_SECONDS) },
      notifyEnv: clocks.env,
    },
  });
  const used = new SessionProbe(run.stack, await run.register());
  const ended = new SessionProbe(run.stack, await run.register());
  await ended.end();
  const { database } = run.stack;
  const rows = await database.query<{ id: string }>(`select event_id as id from outbox where type = 'session.revoked'`);
  for (const { id } of rows) run.writtenEventIds.add(id);
  await waitFor(() => ended.isRefusedEverywhere(), { description: 'every node to know that a session ended' });
  return { run, clocks, violations: [], used, ended };
}

/** The first of each service; the others are right all the time. */
function suspectsOf({ auths: [auth], notifies: [notify], stack }: FaultRun): { auth: Suspect; notify: Suspect } {
  if (auth === undefined || notify === undefined) throw new Error('there is one of each service at least');
  const { authToDatabase, authToBroker, notifyToBroker, notifyToAuth } = stack.links;
  return {
    auth: { victim: auth, process: stack.auth, links: [authToDatabase[0], authToBroker[0]] },
    notify: { victim: notify, process: stack.notify, links: [notifyToBroker[0], notifyToAuth[0]] },
  };
}

function plan(random: Random, { auth, notify }: ReturnType<typeof suspectsOf>, isFull: boolean): Case[] {
  const all = [auth, notify].flatMap((suspect) =>
    (['step', 'start'] as const).flatMap((manner) => SHIFTS_MS.map((shiftMs) => ({ suspect, shiftMs, manner }))),
  );
  if (isFull) return shuffle(random, all);
  // One step of each service, and one start.
  const [steps, starts] = [all.filter(({ manner }) => manner === 'step'), all.filter(({ manner }) => manner === 'start')];
  const ofEach = [auth, notify].map((suspect) => pick(random, steps.filter((one) => one.suspect === suspect)));
  return shuffle(random, [...ofEach, pick(random, starts)]);
}

function describe({ suspect, shiftMs, manner }: Case): string {
  const minutes = Math.abs(shiftMs) / MINUTE_MS;
  const much = minutes >= 60 ? `${minutes / 60} h` : `${minutes} min`;
  const where = shiftMs < 0 ? 'behind' : 'ahead';
  return manner === 'step'
    ? `${suspect.victim.name} while its clock is set ${much} ${shiftMs < 0 ? 'back' : 'ahead'}`
    : `${suspect.victim.name} started with its clock ${much} ${where}`;
}

/** How often each client had to connect. */
function countConnections({ sockets }: FaultRun): number[] {
  return sockets.map(({ record }) => record.connections.length);
}

async function judge(scene: Scene, when: string): Promise<void> {
  const complaints: Complaints = [...(await scene.used.use()), ...(await scene.ended.checkEnded())];
  for (const text of complaints) scene.violations.push({ invariant: 'I5', text: `${when}: ${text}` });
}

/** Sets a clock. Everybody is served as ever, and no timer disconnects anybody. */
async function step(scene: Scene, when: string, { process }: Suspect, shiftMs: number): Promise<void> {
  const before = countConnections(scene.run);
  await scene.clocks.step(process, shiftMs);
  const looked = sleep(TIMERS_LOOK_MS);
  await judge(scene, when);
  await looked;
  const after = countConnections(scene.run);
  const thrownOut = after.filter((count, at) => count !== before[at]).length;
  if (thrownOut > 0) scene.violations.push({ invariant: 'I5', text: `${when}: ${thrownOut} clients were disconnected` });
}

/** Until then it answers 503, as it has to. */
async function expectReady({ violations }: Scene, { process }: Suspect, when: string): Promise<void> {
  const isReady = async (): Promise<boolean> => (await fetch(`${process.url}/readyz`)).status === 200;
  await waitFor(isReady, { timeoutMs: RECOVERY_LIMIT_MS }).catch(({ message }: Error) => {
    violations.push({ invariant: 'I5', text: `${when}: not ready again after its connections were reset: ${message}` });
  });
}

async function tryCase(scene: Scene, one: Case): Promise<void> {
  const { run, clocks } = scene;
  const { suspect, shiftMs, manner } = one;
  const when = describe(one);
  if (manner === 'step') {
    await step(scene, when, suspect, shiftMs);
  } else {
    clocks.set(suspect.process, shiftMs);
    await suspect.victim.kill();
    await suspect.victim.start();
    await judge(scene, when);
  }
  // What was connected before the step has to find its servers again after it.
  for (const link of suspect.links) link?.reset();
  await run.measureRecovery();
  await expectReady(scene, suspect, when);
  await judge(scene, `${when}, after its connections were reset`);
  await step(scene, `${when}, and right again`, suspect, 0);
  run.countFault(`${suspect.victim.name.split(' ')[0]} clock wrong at a ${manner}`);
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { isFull, random, progress } = context;
  const users = isFull ? LOADED_USERS.full : LOADED_USERS.short;
  const scene = await set(context, { users, preload: SHIFTED_CLOCK });
  for (const one of plan(random, suspectsOf(scene.run), isFull)) {
    progress(describe(one));
    await tryCase(scene, one);
  }
  await scene.run.measureRecovery();
  const result = await scene.run.finish();
  return { ...result, violations: [...result.violations, ...scene.violations] };
}

/** Services whose timers go by the time of day. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const preload = [SHIFTED_CLOCK, new URL('../preloads/timers-by-wall-clock.mjs', import.meta.url)];
  const scene = await set(context, { users: 5, preload, patienceMs: CONTROL_PATIENCE_MS });
  await tryCase(scene, { suspect: suspectsOf(scene.run).notify, shiftMs: DAY_MS, manner: 'step' });
  const result = await scene.run.finish();
  return { ...result, violations: [...result.violations, ...scene.violations] };
}

export const wrongClocks: Scenario = {
  id: 'F18',
  title: 'the clock of each service by itself is 10 minutes or a day off, set while it runs or wrong when it starts',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'services whose timers go by the time of day',
    symptoms: [/^I5 notify-service 1 while its clock is set 24 h ahead: \d+ clients were disconnected/],
    run: runBroken,
  },
};
