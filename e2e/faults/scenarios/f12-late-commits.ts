import { createTestDatabase, waitFor, type Account, type TestContext, type TestDatabase } from '@infrasignal/testkit';
import pg from 'pg';
import { findSlowestMs } from '../checks/check-others.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { PASSWORD } from '../load.ts';
import type { Random } from '../random.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/** Each writes as soon as its last one is committed. */
const WRITERS = 16;

/** Connections of the service: each writer has one, and the relay is not to be kept waiting for those. */
const POOL_MAX = 20;

/** Every commit takes up to so much longer: rows are committed in another order than that of their ids. */
const COMMIT_DELAY_MS_MAX = 50;

/** One in five writes is a registration, as in load L. */
const REGISTRATION_SHARE = 0.2;

interface Size {
  readonly users: number;
  /** Of all writers. */
  readonly events: number;
}

const FULL: Size = { users: LOADED_USERS.full, events: 4_000 };
const SHORT: Size = { users: LOADED_USERS.short, events: 400 };

/** Runs when the transaction commits, after the row has its id. */
const DELAY_COMMITS = `
  create function delay_commit() returns trigger language plpgsql as $$
  begin
    perform pg_sleep(random() * ${COMMIT_DELAY_MS_MAX} / 1000);
    return null;
  end $$;
  create constraint trigger delay_commit after insert on outbox deferrable initially deferred
    for each row execute function delay_commit()`;

/** Somebody else's transaction, which has written and then does nothing for a while. */
class IdleTransaction {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  /** Writes a row elsewhere, and an event of a user of its own: all that others write from now on has higher ids. */
  static async begin(t: TestContext, run: FaultRun): Promise<IdleTransaction> {
    const { userId } = await run.register();
    const client = new pg.Client({ connectionString: run.stack.database.url });
    t.teardown(() => client.end());
    await client.connect();
    await client.query('create table if not exists elsewhere (id int)');
    await client.query('begin');
    await client.query('insert into elsewhere values (1)');
    const { rows } = await client.query<{ eventId: string }>(
      `with account as (update users set event_seq = event_seq + 1 where id = $1 returning id, event_seq, phone_number)
       insert into outbox (event_id, user_id, seq, type, payload)
       select gen_random_uuid(), id, event_seq, 'user.login',
         jsonb_build_object('user_id', id, 'phone_number', phone_number) from account
       returning event_id as "eventId"`,
      [userId],
    );
    for (const { eventId } of rows) run.writtenEventIds.add(eventId);
    return new IdleTransaction(client);
  }

  async commit(): Promise<void> {
    await this.#client.query('commit');
  }
}

/** Every writer goes on until all of them together have written so many events; each has its own users. */
async function write(run: FaultRun, random: Random, events: number): Promise<void> {
  let left = events;
  const writeAs = async (own: readonly Account[]): Promise<void> => {
    for (let at = 0; left > 0; at += 1) {
      left -= 1;
      const account = own[at % own.length];
      const isNew = account === undefined || random() < REGISTRATION_SHARE;
      if (isNew) await run.api.register(run.nextPhoneNumber(), PASSWORD);
      else await run.api.logIn(account.phoneNumber, PASSWORD);
    }
  };
  const writers = Array.from({ length: WRITERS }, (_, writer) =>
    writeAs(run.accounts.filter((_account, at) => at % WRITERS === writer)),
  );
  await Promise.all(writers);
}

/** How many rows a relay that goes by ids would have passed over. */
async function countOvertaken(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ count: number }>(`
    select count(*)::int as count from (
      select published_at, min(published_at) over (
        order by id desc rows between unbounded preceding and 1 preceding) as first_after
      from outbox) as rows
    where first_after < published_at`);
  return row?.count ?? 0;
}

function set({ t, random, progress }: ScenarioContext, options: Partial<FaultRunOptions>): Promise<FaultRun> {
  const { stack, ...others } = options;
  const authEnv = { DATABASE_POOL_MAX: String(POOL_MAX) };
  return FaultRun.set(t, { random, progress, ratePerSecond: 0, stack: { authEnv, ...stack }, ...others });
}

async function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, random, isFull, progress } = context;
  const { users, events } = isFull ? FULL : SHORT;
  const run = await set(context, { users });
  const { database } = run.stack;
  await database.query(DELAY_COMMITS);
  const idle = await IdleTransaction.begin(t, run);
  run.countFault('idle write transaction');
  progress(`${WRITERS} writers, ${events} events, each committed up to ${COMMIT_DELAY_MS_MAX} ms late`);
  await write(run, random, events);
  // All of it has to be through although the other transaction is still open, …
  await run.measureRecovery();
  const overtaken = await countOvertaken(database);
  if (overtaken === 0) throw new Error('no row was committed after one with a higher id');
  // … and what that one wrote must not be forgotten, however long ago it got its id.
  await idle.commit();
  await run.measureRecovery();
  for (let counted = 0; counted < overtaken; counted += 1) run.countFault('commit overtaken');
  const own = run.ledger.clients.filter(({ userId }) => userId !== null);
  run.figures.push(
    `${overtaken} events were committed after one with a higher id; the slowest was received ` +
      `${Math.round(findSlowestMs(own))} ms after it was written`,
  );
  return run.finish({ isAuthUnharmed: true });
}

/** Written again and again until the relay has passed over a row: a busy machine lets it look less often. */
const CONTROL_EVENTS = 64;
const CONTROL_ROUNDS_MAX = 20;

/** Long enough for anything that is going to come. */
const CONTROL_RECOVERY_MS_MAX = 1_500;

/** Something is left that is older, and has a lower id, than what was published. */
async function isSomethingSkipped(database: TestDatabase): Promise<boolean> {
  const skipped = await database.query(`
    select 1 from outbox as row where published_at is null and exists (
      select 1 from outbox where id > row.id and published_at > row.created_at + interval '1 second')`);
  return skipped.length > 0;
}

/** Two relays that are wrong: one waits for every older transaction, the other asks for what is beyond its last id. */
async function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const { t, random } = context;
  const createDatabase = async (t: TestContext): Promise<TestDatabase> => {
    const database = await createTestDatabase(t);
    await database.query('create table waits_for_all as select 1');
    return database;
  };
  const run = await set(context, {
    users: 10,
    preload: new URL('../preloads/relay-by-cursor.mjs', import.meta.url),
    patienceMs: CONTROL_PATIENCE_MS,
    recoveryLimitMs: CONTROL_RECOVERY_MS_MAX,
    stack: { createDatabase },
  });
  const { database } = run.stack;
  const idle = await IdleTransaction.begin(t, run);
  await write(run, random, WRITERS);
  await run.measureRecovery();
  await idle.commit();
  const isThrough = async (): Promise<boolean> =>
    (await database.query('select 1 from outbox where published_at is null limit 1')).length === 0;
  await waitFor(isThrough, { description: 'the relay to publish what it had held back' });

  await database.query('delete from waits_for_all');
  await database.query(DELAY_COMMITS);
  for (let round = 0; round < CONTROL_ROUNDS_MAX && !(await isSomethingSkipped(database)); round += 1) {
    await write(run, random, CONTROL_EVENTS);
  }
  return run.finish();
}

export const lateCommits: Scenario = {
  id: 'F12',
  title: '16 writers whose commits are up to 50 ms late, beside a transaction that has written and stays open',
  run,
  control: {
    title: 'a relay that waits for every older transaction, and one that asks for ids beyond its last',
    symptoms: [/^I5 recovery within .* incomplete: \d+ rows unpublished/, /^I1 .* never reached the broker/],
    run: runBroken,
  },
};
