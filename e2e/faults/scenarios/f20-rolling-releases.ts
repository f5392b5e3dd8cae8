import { nowMs, type TestContext } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { PASSWORD } from '../load.ts';
import { PlainClients, type Window } from '../plain-clients.ts';
import { pick } from '../random.ts';
import {
  greet,
  replaceAuth,
  replaceNotify,
  STRICT_DECODER,
  TICKETS_OF_THIS_RELEASE,
  writeAsNextRelease,
  type Release,
} from '../releases.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

const INSTANCES = 2;

/** Half of load L in short runs: eight processes start while it goes on. */
const RATE_PER_SECOND = { full: 50, short: 25 };

/** There and back so many times, with so long a pause at the most between two instances. */
const ROUNDS = { full: 3, short: 1 };
const PAUSE_MS_MAX = { full: 5_000, short: 300 };

/** An event of the new type so often while instances of both releases may run. */
const GREETING_INTERVAL_MS = 100;

/** A short drain: what is tested is who comes after, and not how gently a node lets go. */
const NOTIFY_ENV = { ...TICKETS_OF_THIS_RELEASE, SHUTDOWN_GRACE_SECONDS: '5' };

interface Scene {
  readonly context: ScenarioContext;
  readonly run: FaultRun;
  readonly plain: PlainClients;
}

type Step = 'auth 0' | 'auth 1' | 'notify 0' | 'notify 1';
const AUTHS: readonly Step[] = ['auth 0', 'auth 1'];
const NOTIFIES: readonly Step[] = ['notify 0', 'notify 1'];

async function set(t: TestContext, options: FaultRunOptions, instances = INSTANCES): Promise<FaultRun> {
  const stack = { authInstances: instances, notifyInstances: instances, notifyEnv: NOTIFY_ENV };
  const run = await FaultRun.set(t, { ...options, stack });
  await writeAsNextRelease(run.stack);
  return run;
}

async function replace({ auths, notifies, stack }: FaultRun, step: Step, release: Release): Promise<void> {
  const at = Number(step.at(-1));
  const isAuth = step.startsWith('auth');
  const [victim, process] = isAuth ? [auths[at], stack.auths[at]] : [notifies[at], stack.notifies[at]];
  if (victim === undefined || process === undefined) throw new Error(`there is no ${step}`);
  if (isAuth) await replaceAuth(victim, process, stack, release);
  else await replaceNotify(victim, process, release);
}

/** Greets somebody again and again until the work is done. */
async function whileGreeting(run: FaultRun, random: () => number, work: () => Promise<void>): Promise<void> {
  let isDone = false;
  const greetings = (async (): Promise<void> => {
    while (!isDone) {
      run.writtenEventIds.add(await greet(run.stack, pick(random, run.accounts).userId));
      await sleep(GREETING_INTERVAL_MS);
    }
  })();
  try {
    await work();
  } finally {
    isDone = true;
    await greetings;
  }
}

function shuffle<Item>(items: readonly Item[], random: () => number): Item[] {
  const left = [...items];
  return items.map(() => left.splice(Math.floor(random() * left.length), 1)[0] as Item);
}

/** One instance after the other, each when the one before is ready. */
async function roll({ context, run }: Scene, steps: readonly Step[], release: Release): Promise<void> {
  const { random, isFull, progress } = context;
  for (const step of steps) {
    await sleep(random() * (isFull ? PAUSE_MS_MAX.full : PAUSE_MS_MAX.short));
    await replace(run, step, release);
    progress(`${step} is of ${release} release`);
  }
}

/**
 * There as the rule says, those who read before those who write, and back in any order, so that nodes of this release
 * meet what they cannot interpret, live and in replays.
 * @returns when sockets without a subprotocol need not have been told of logins of the new version
 */
async function goThereAndBack(scene: Scene): Promise<Window> {
  const { random } = scene.context;
  await roll(scene, [...shuffle(NOTIFIES, random), ...shuffle(AUTHS, random)], 'next');
  const from = nowMs();
  await roll(scene, shuffle([...AUTHS, ...NOTIFIES], random), 'this');
  return { from, until: nowMs() };
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, random, isFull, progress } = context;
  const length = isFull ? 'full' : 'short';
  const load = { users: LOADED_USERS[length], ratePerSecond: RATE_PER_SECOND[length] };
  const faultRun = await set(t, { random, progress, ...load });
  const { stack, figures, ledger } = faultRun;
  const scene = { context, run: faultRun, plain: new PlainClients(t, stack.notifyUrls) };
  const exempt: Window[] = [];
  await whileGreeting(faultRun, random, async () => {
    for (let left = ROUNDS[length]; left > 0; left -= 1) exempt.push(await goThereAndBack(scene));
  });
  await faultRun.measureRecovery();
  const result = await faultRun.finish();
  const plainViolations = await scene.plain.check(stack, ledger, exempt);
  figures.push(
    `${await countVersion2(faultRun)} logins of version 2, ${faultRun.writtenEventIds.size} events of a new type; ` +
      `sockets without a subprotocol were told ${scene.plain.frames} times`,
  );
  return { ...result, violations: [...result.violations, ...plainViolations, ...checkNobodySentAway(ledger)] };
}

async function countVersion2({ stack }: FaultRun): Promise<number> {
  const [row] = await stack.database.query<{ count: number }>(
    'select count(*)::int as count from outbox where data_version = 2',
  );
  return row?.count ?? 0;
}

/** From this close code on, clients stay away. */
const DO_NOT_RETURN = 4500;

/** Every close was one after which clients come back, and no cursor and no ticket was a reason to refuse. */
function* checkNobodySentAway({ clients }: FaultRun['ledger']): Generator<Violation> {
  for (const { name, connections } of clients) {
    for (const { closeCode, refusal, after } of connections) {
      if (closeCode !== null && closeCode >= DO_NOT_RETURN) {
        yield { invariant: 'I5', text: `${name} was closed with ${closeCode}` };
      }
      if (refusal?.startsWith('refused with 4') === true) {
        yield { invariant: 'I5', text: `${name} was ${refusal}, after ${after ?? 'nothing'}` };
      }
    }
  }
}

/** A node of this release that takes what it does not know for invalid, and an auth instance of the next. */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const load = { users: 10, ratePerSecond: 0, patienceMs: CONTROL_PATIENCE_MS };
  const faultRun = await set(t, { random, progress, ...load }, 1);
  const { stack, notifies, accounts } = faultRun;
  await notifies[0]?.replace(() => stack.notify.restart({}, STRICT_DECODER));
  await replace(faultRun, 'auth 0', 'next');
  for (const { userId, phoneNumber } of accounts) {
    faultRun.writtenEventIds.add(await greet(stack, userId));
    await faultRun.api.logIn(phoneNumber, PASSWORD);
  }
  return faultRun.finish();
}

export const rollingReleases: Scenario = {
  id: 'F20',
  title: 'both services are replaced, instance by instance, by a release that writes other events, and back',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'a node that takes an event that it does not know for invalid',
    symptoms: [/^I[12] .* (lost:|never received).*user\.greeted/, /^I[12] .* (lost:|never received).*user\.login/],
    run: runBroken,
  },
};
