// If this breaks, a deployment of several instances fails on its first start, or a restart changes the schema under the
// ones that run.
import {
  createTestDatabase,
  runServiceToExit,
  startServiceProcess,
  startTestNats,
  waitFor,
  type TestDatabase,
} from '@infrasignal/testkit';
import { getTableColumns, is, Table } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import pg from 'pg';
import t from 'tap';
import { advisoryLocks } from '../../src/db/advisory-locks.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import * as schema from '../../src/db/schema/index.ts';
import { testEnvironment } from '../auth-fixture.ts';
import { AUTH_ENTRY } from './service.ts';

const journal = JSON.parse(readFileSync(new URL('../../migrations/meta/_journal.json', import.meta.url), 'utf8')) as {
  entries: unknown[];
};

const WAITING_FOR_A_LOCK =
  "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";

/** Everything a migration makes, and when each migration was applied. */
function describe(database: TestDatabase): Promise<unknown[]> {
  return database.query(`
    select 'column' as kind, table_schema || '.' || table_name || '.' || column_name as name,
      concat_ws(' ', data_type, is_nullable, column_default, ordinal_position) as what
    from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema')
    union all select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
    union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
    union all select 'migration', id::text, hash || created_at from drizzle.__drizzle_migrations
    order by 1, 2, 3`);
}

t.test('several instances that start at once on an empty database all become ready', async (t) => {
  const [database, nats] = await Promise.all([createTestDatabase(t), startTestNats(t)]);
  const env = { ...testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }), LOG_LEVEL: 'info' };
  const services = await Promise.all([1, 2].map(() => startServiceProcess(t, { entry: AUTH_ENTRY, env })));

  const before = await describe(database);
  const applied = await database.query('select count(*)::int as count from drizzle.__drizzle_migrations');
  t.same(applied, [{ count: journal.entries.length }], 'each migration once');
  t.same(await database.query('select count(*)::int as count from signing_keys'), [{ count: 1 }], 'one signing key');
  for (const [at, { url }] of services.entries()) {
    const answer = await fetch(`${url}/api/register/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: `012345678${at}`, password: 'correct horse battery staple' }),
    });
    t.equal(answer.status, 201);
    await answer.arrayBuffer();
  }

  await services[0]!.restart();
  t.strictSame(await describe(database), before, 'starting again changes nothing');
  t.same(await database.query('select count(*)::int as count from users'), [{ count: 2 }], 'and keeps what was there');
});

t.test('any number of migrations at once is one migration', async (t) => {
  const database = await createTestDatabase(t);
  await Promise.all(Array.from({ length: 8 }, () => migrateDatabase(database.url)));
  const before = await describe(database);
  t.ok(before.length > 50);
  await migrateDatabase(database.url);
  t.strictSame(await describe(database), before);
});

t.test('the migrated database is the one that the code describes', async (t) => {
  const database = await createTestDatabase(t, { migrate: migrateDatabase });
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  t.teardown(() => client.end());
  const db = drizzle(client);
  const tables = Object.entries<unknown>(schema).filter((entry): entry is [string, Table] => is(entry[1], Table));
  t.ok(tables.length >= 5);
  for (const [name, table] of tables) {
    t.ok(Object.keys(getTableColumns(table)).length > 0);
    t.same(await db.select().from(table), [], `every column of ${name} exists`);
  }
});

t.test('a migration waits for one that is under way and does not fail', async (t) => {
  const database = await createTestDatabase(t);
  const first = new pg.Client({ connectionString: database.url });
  await first.connect();
  t.teardown(() => first.end());
  await first.query('select pg_advisory_lock(7203411)');
  const second = migrateDatabase(database.url);
  const waiting = async (): Promise<boolean> => {
    const rows = await database.query(
      WAITING_FOR_A_LOCK,
    );
    return rows.length === 1;
  };
  await waitFor(waiting);
  t.same(await database.query("select to_regclass('users') as table"), [{ table: null }], 'nothing is done meanwhile');
  await first.query('select pg_advisory_unlock(7203411)');
  await second;
  t.same(await database.query("select to_regclass('users')::text as table"), [{ table: 'users' }]);
});

t.test('with MIGRATE_AT_START off an instance changes no schema, and does not run on an older one', async (t) => {
  const [database, nats] = await Promise.all([createTestDatabase(t), startTestNats(t)]);
  const env = { ...testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }), MIGRATE_AT_START: 'false' };
  const { code, logs } = await runServiceToExit(t, { entry: AUTH_ENTRY, env });
  t.equal(code, 1);
  t.match(logs, /lacks \d+ migrations of this release[^]*infrasignal migrate/);
  t.same(await database.query("select to_regclass('users') as users"), [{ users: null }]);

  await migrateDatabase(database.url);
  const service = await startServiceProcess(t, { entry: AUTH_ENTRY, env });
  await service.stop();
  await database.query('delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations)');
  t.match((await runServiceToExit(t, { entry: AUTH_ENTRY, env })).logs, /lacks 1 migrations/);
  await database.query("insert into drizzle.__drizzle_migrations (hash, created_at) values ('newer', 9e15)");
  await service.restart();
  t.pass('a schema of a later release is none of its business');
});

t.test('SIGTERM ends an instance that still waits for its migrations', async (t) => {
  const [database, nats] = await Promise.all([createTestDatabase(t), startTestNats(t)]);
  const holder = new pg.Client({ connectionString: database.url });
  holder.on('error', () => undefined); // the database is dropped with the test
  await holder.connect();
  t.teardown(() => holder.end());
  await holder.query('select pg_advisory_lock($1)', [advisoryLocks.migrations]);
  const env = { PATH: process.env.PATH, ...testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }) };
  const service = spawn(process.execPath, ['--conditions=@infrasignal/source', '--import', 'tsx', AUTH_ENTRY], { env });
  t.teardown(() => service.kill('SIGKILL'));
  const exited = once(service, 'exit');
  await waitFor(async () => (await database.query(WAITING_FOR_A_LOCK)).length > 0, {
    timeoutMs: 60_000,
    description: 'the instance to compile, start and wait for its migrations',
  });
  service.kill('SIGTERM');
  t.same(await exited, [0, null]);
});
