// If this breaks, tests see each other's rows, migrate for seconds instead of copying for milliseconds, or leave
// databases behind.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { test } from 'tap';
import { createTestDatabase, createTestDirectory, waitFor } from '../src/index.ts';

async function run(url: string, sql: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as pg.QueryResultRow[];
  } finally {
    await client.end();
  }
}

test('a database per test, copied from a template that is migrated once', async (t) => {
  const folder = createTestDirectory(t);
  mkdirSync(join(folder, 'meta'));
  writeFileSync(join(folder, '0000_first.sql'), `create table things (name text); -- ${folder}`);
  let migrations = 0;
  const migrate = async (url: string): Promise<void> => {
    migrations += 1;
    await run(url, 'create table things (name text)');
  };
  const databases = await Promise.all(
    [1, 2, 3, 4].map(() => createTestDatabase(t, { migrate, migrationsFolder: folder })),
  );
  t.equal(migrations, 1);
  await databases[0]!.query('insert into things values ($1)', ['mine']);
  t.same(await databases[0]!.query('select name from things'), [{ name: 'mine' }]);
  t.same(await databases[1]!.query('select name from things'), []);

  writeFileSync(join(folder, '0001_second.sql'), 'alter table things add column size int');
  await createTestDatabase(t, { migrate, migrationsFolder: folder });
  t.equal(migrations, 2, 'other migrations, other template');
});

test('a failing migration leaves no template behind', async (t) => {
  const folder = createTestDirectory(t);
  writeFileSync(join(folder, '0000_first.sql'), folder);
  const failing = createTestDatabase(t, {
    migrate: () => Promise.reject(new Error('bad migration')),
    migrationsFolder: folder,
  });
  await t.rejects(failing, { message: 'bad migration' });
  const database = await createTestDatabase(t, { migrate: () => Promise.resolve(), migrationsFolder: folder });
  t.same(await database.query('select 1 as one'), [{ one: 1 }]);
});

test('the database is dropped with the test, whoever is connected', async (t) => {
  const outer = await createTestDatabase(t);
  let name = '';
  await t.test('inner', async (inner) => {
    const database = await createTestDatabase(inner, {
      migrate: (url) => run(url, 'create table direct (id int)'),
    });
    name = database.name;
    t.same(await database.query('select * from direct'), []);
    const forgotten = new pg.Client({ connectionString: database.url });
    forgotten.on('error', () => undefined);
    await forgotten.connect();
  });
  const rows = await outer.query('select 1 from pg_database where datname = $1', [name]);
  t.same(rows, []);
});

test('waitFor names what it waited for and the last error', async (t) => {
  const waiting = waitFor(
    () => {
      throw new Error('not there');
    },
    { timeoutMs: 30, description: 'the impossible' },
  );
  await t.rejects(waiting, { message: /the impossible.*not there/ });
  let calls = 0;
  t.equal(await waitFor(() => (calls += 1) > 2 && 'done'), 'done');
});
