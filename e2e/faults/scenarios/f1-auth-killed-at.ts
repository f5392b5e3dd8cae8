import { EVENTS_STREAM_NAME } from '@infrasignal/shared/plain';
import { readStream, waitFor, type FaultProxy, type TestContext } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { PASSWORD } from '../load.ts';
import { CONTROL_PATIENCE_MS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** What writes a change with its event, as it passes on the wire: once prepared, only the values do. */
const WRITE_STATEMENTS = ['insert into "outbox"', 'user.login', 'user.registered'];

/** The statement that notes what the broker acknowledged, prepared as well. */
const MARK_STATEMENTS = ['update outbox set published_at', 'mark_published'];

const carriesOneOf = (chunk: Buffer, statements: readonly string[]): boolean =>
  statements.some((statement) => chunk.includes(statement));

/** More than the relay's batch of 500 rows, so that there are two marks. */
const BACKLOG_ROWS = 600;
const BACKLOG_CONCURRENCY = 16;

/** When the relay finds the broker again and how fast it publishes is not what is measured here. */
const MARKS_TIMEOUT_MS = 60_000;

/** The shortest time for which a broker can be told to recognise repeats. */
const FORGETFUL_WINDOW_MS = 100;

interface Scene {
  readonly run: FaultRun;
  /** Stands between auth-service and its database. */
  readonly proxy: FaultProxy;
}

async function set(t: TestContext, options: FaultRunOptions): Promise<Scene> {
  const run = await FaultRun.set(t, { users: 10, ratePerSecond: 0, ...options, stack: { links: ['authToDatabase'] } });
  const [proxy] = run.stack.links.authToDatabase;
  if (proxy === undefined) throw new Error('nothing was put in front of the database');
  return { run, proxy };
}

async function killAuth({ run, proxy }: Scene): Promise<void> {
  for (const auth of run.auths) await auth.kill();
  proxy.setRule(null);
}

async function startAuth({ run }: Scene): Promise<void> {
  for (const auth of run.auths) await auth.start();
}

async function countUsersEvents(run: FaultRun): Promise<number> {
  const rows = await run.stack.database.query<{ sum: number }>('select sum(event_seq)::int as sum from users');
  return rows[0]?.sum ?? 0;
}

async function countMessages(run: FaultRun): Promise<number> {
  return (await readStream({ url: run.stack.nats.url, stream: EVENTS_STREAM_NAME })).length;
}

/** The change is committed, and its client never hears of it. */
async function killAfterCommit(scene: Scene): Promise<void> {
  const { run, proxy } = scene;
  const before = await countUsersEvents(run);
  const [account] = run.accounts;
  if (account === undefined) throw new Error('nobody is there to log in');
  proxy.setRule((chunk) => (carriesOneOf(chunk, WRITE_STATEMENTS) ? 'swallow-answers' : 'forward'));
  const asked = [run.api.logIn(account.phoneNumber, PASSWORD), run.api.register(run.nextPhoneNumber(), PASSWORD)];
  await waitFor(async () => (await countUsersEvents(run)) === before + 2, { description: 'both changes to be committed' });
  await killAuth(scene);
  await Promise.all(asked);
  const outcomes = run.ledger.operations.slice(-2).map(({ outcome }) => outcome);
  if (outcomes.some((outcome) => outcome !== 'unknown')) throw new Error(`answered all the same: ${outcomes.join(', ')}`);
}

/** The broker has the events, and the database does not know it. */
async function killAfterPublish(scene: Scene): Promise<void> {
  const { run, proxy } = scene;
  const before = await countMessages(run);
  const accounts = run.accounts.slice(0, 5);
  proxy.setRule((chunk) => (carriesOneOf(chunk, MARK_STATEMENTS) ? 'hold' : 'forward'));
  await Promise.all(accounts.map(({ phoneNumber }) => run.api.logIn(phoneNumber, PASSWORD)));
  await waitFor(async () => (await countMessages(run)) >= before + 1, { description: 'an event to be in the stream' });
  await killAuth(scene);
  const unmarked = await run.stack.database.query('select 1 from outbox where published_at is null');
  if (unmarked.length === 0) throw new Error('the events were marked before the kill');
}

/** One batch is marked; the next one is published, and its mark never arrives. */
async function killBetweenMarks(scene: Scene): Promise<void> {
  const { run, proxy } = scene;
  await run.broker.kill();
  for (let left = BACKLOG_ROWS; left > 0; left -= BACKLOG_CONCURRENCY) {
    await Promise.all(Array.from({ length: BACKLOG_CONCURRENCY }, () => run.register()));
  }
  let marks = 0;
  proxy.setRule((chunk) => {
    if (!carriesOneOf(chunk, MARK_STATEMENTS)) return 'forward';
    marks += 1;
    return marks === 1 ? 'forward' : 'hold';
  });
  await run.broker.start();
  await waitFor(() => marks >= 2, { timeoutMs: MARKS_TIMEOUT_MS, description: 'the relay to mark a second batch' });
  await killAuth(scene);
}

async function run({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const scene = await set(t, { random, progress });
  const moments = {
    'after commit, before the answer': killAfterCommit,
    'after publish, before the mark': killAfterPublish,
    'between two marks': killBetweenMarks,
  };
  for (const [name, killThen] of Object.entries(moments)) {
    await killThen(scene);
    progress(`killed ${name}`);
    await startAuth(scene);
    await scene.run.measureRecovery();
  }
  return scene.run.finish();
}

/**
 * Two broken parts. A build that commits a change and then its event: played by a trigger that leaves the event out.
 * A broker that does not recognise repeats: played by telling it to forget, between the kill and the restart.
 */
async function runBroken({ t, random, progress }: ScenarioContext): Promise<FaultRunResult> {
  const scene = await set(t, { random, progress, patienceMs: CONTROL_PATIENCE_MS });
  const { database, nats } = scene.run.stack;
  await database.query(
    `create function leave_out() returns trigger language plpgsql as $$ begin return null; end $$`,
  );
  await database.query('create trigger leave_out before insert on outbox for each row execute function leave_out()');
  await killAfterCommit(scene);
  await database.query('drop trigger leave_out on outbox');
  await startAuth(scene);

  await killAfterPublish(scene);
  const connection = await connect({ servers: nats.url });
  const manager = await jetstreamManager(connection);
  await manager.streams.update(EVENTS_STREAM_NAME, { duplicate_window: FORGETFUL_WINDOW_MS * 1_000_000 });
  await sleep(FORGETFUL_WINDOW_MS * 5); // the broker forgets by the clock, and does not tell
  await connection.close();
  await startAuth(scene);
  return scene.run.finish();
}

export const authKilledAt: Scenario = {
  id: 'F1-moments',
  title: 'auth-service is killed after commit before answer, after publish before mark, between mark batches',
  run,
  control: {
    title: 'an event written after its change, and a broker that does not recognise repeats',
    symptoms: [/^I1 .* the outbox has no row for seq/, /^I1 .* is in the stream 2 times/],
    run: runBroken,
  },
};
