import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@infrasignal/testkit';
import { hangUp } from '../answers.ts';
import type { Violation } from '../checks/evidence.ts';
import { checkPoolBack, checkPoolGivenBack, TransactionLoad } from '../database-clients.ts';
import { DatabaseServer } from '../database-server.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** Time between two kills of all backends. */
const KILL_INTERVAL_MS = 150;

const POOL_BACK_MS_MAX = 1_000;

interface Size {
  readonly users: number;
  readonly crashes: number;
  /** For so long all backends are killed again and again. */
  readonly killsMs: number;
}

const FULL: Size = { users: LOADED_USERS.full, crashes: 10, killsMs: 15_000 };
const SHORT: Size = { users: LOADED_USERS.short, crashes: 2, killsMs: 2_500 };

/** The longest between two crashes, so that they meet a system at work and one that is just coming back. */
const CRASH_PAUSE_MS_MAX = 1_000;

interface Scene {
  readonly run: FaultRun;
  readonly server: DatabaseServer;
}

async function set({ t, random, progress }: ScenarioContext, options: Partial<FaultRunOptions>): Promise<Scene> {
  const server = await DatabaseServer.start(t);
  const stack = { createDatabase: () => Promise.resolve(server.database) };
  return { run: await FaultRun.set(t, { random, progress, stack, ...options }), server };
}

async function killBackendsFor({ run, server }: Scene, durationMs: number): Promise<void> {
  const until = performance.now() + durationMs;
  while (performance.now() < until) {
    if ((await server.killBackends()) > 0) run.countFault('all backends killed');
    await sleep(KILL_INTERVAL_MS);
  }
}

/** The fault is over: how soon requests work again, and everything is through. */
async function recover({ run, server }: Scene, what: string): Promise<Violation[]> {
  const violations: Violation[] = [];
  const limits = { what, limitMs: POOL_BACK_MS_MAX };
  for await (const violation of checkPoolBack(run, server, limits)) violations.push(violation);
  await run.measureRecovery();
  return violations;
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { isFull, random, progress } = context;
  const { users, crashes, killsMs } = isFull ? FULL : SHORT;
  const scene = await set(context, { users });
  const { run, server } = scene;
  const violations: Violation[] = [];
  const transactions = new TransactionLoad(context.t, run);
  transactions.start();
  for (let done = 1; done <= crashes; done += 1) {
    await sleep(random() * CRASH_PAUSE_MS_MAX);
    await server.crash();
    run.countFault('PostgreSQL restarted immediately');
    violations.push(...(await recover(scene, `restart ${done}`)));
  }
  progress(`all backends are killed every ${KILL_INTERVAL_MS} ms`);
  await killBackendsFor(scene, killsMs);
  violations.push(...(await recover(scene, 'the last kill of the backends')));
  await run.stopLoad();
  violations.push(...(await transactions.stop()));
  run.figures.push(transactions.describe());
  for await (const violation of checkPoolGivenBack(run)) violations.push(violation);
  for (const text of await server.findLeftovers()) violations.push({ invariant: 'I5', text });
  hangUp();
  const result = await run.finish();
  return { ...result, violations: [...result.violations, ...violations] };
}

/** Keeps each event in a table that ends with its connection, until that connection calls `commit_events`. */
const ASIDE = `
  create function put_aside() returns trigger language plpgsql as $$
  begin
    if current_setting('fault.commits_events', true) = 'on' then return new; end if;
    if to_regclass('pg_temp.aside') is null then create temp table aside as table outbox with no data; end if;
    insert into aside select new.*;
    return null;
  end $$;
  create function commit_events() returns void language plpgsql as $$
  begin
    perform set_config('fault.commits_events', 'on', true);
    insert into outbox overriding system value select * from aside;
    delete from aside;
  end $$;
  create trigger put_aside before insert on outbox for each row execute function put_aside()`;

/** Events that their users have had, and that are nowhere: lost, or about to be written. */
const MISSING = `
  select users.id || ' ' || seq as event from users, generate_series(1, event_seq) as seq
  where (users.id, seq) not in (
    select user_id, seq from outbox union all select user_id, seq from deleted_outbox)`;

/** Some events are always about to be written, and each kill takes those: a busy machine has fewer of both. */
const LOSS_TIMEOUT_MS = 30_000;

/** Kills until an event is gone for good: one that was missing before a kill and is after it. */
async function killUntilLost({ run, server }: Scene): Promise<void> {
  let before = new Set<string>();
  const isOneLost = async (): Promise<boolean> => {
    if ((await server.killBackends()) > 0) run.countFault('all backends killed');
    const rows = await server.database.query<{ event: string }>(MISSING);
    const isLost = rows.some(({ event }) => before.has(event));
    before = new Set(rows.map(({ event }) => event));
    return isLost;
  };
  const description = 'an event to be lost with its connection';
  await waitFor(isOneLost, { intervalMs: KILL_INTERVAL_MS, timeoutMs: LOSS_TIMEOUT_MS, description });
}

/** Two broken parts: an event that is written after its change, and then a pool without an error listener. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const preload = new URL('../preloads/event-in-second-transaction.mjs', import.meta.url);
  const scene = await set(context, { users: 10, preload, patienceMs: CONTROL_PATIENCE_MS });
  const { run, server } = scene;
  await server.database.query(ASIDE);
  await killUntilLost(scene);
  await run.stack.auth.kill('SIGUSR1');
  let hasEnded = false;
  void run.stack.auth.exited.then(() => {
    hasEnded = true;
  });
  await waitFor(
    async () => {
      await server.killBackends();
      return hasEnded;
    },
    { intervalMs: KILL_INTERVAL_MS, description: 'a lost connection to end the service' },
  );
  return run.finish();
}

export const databaseKilled: Scenario = {
  id: 'F7',
  title: 'PostgreSQL is restarted with -m immediate, then all its backends are killed every 150 ms',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'an event written after its change in another transaction, and a pool without an error listener',
    symptoms: [/^I1 .* the outbox has no row for seq/, /^I5 auth-service ended by itself/],
    run: runBroken,
  },
};
