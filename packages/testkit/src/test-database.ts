import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { acquireSharedPostgres, type SharedPostgres } from './shared-postgres.ts';
import type { TestContext } from './test-context.ts';
import { startTestPostgres, type TestPostgres } from './test-postgres.ts';

export interface TestDatabaseOptions {
  /** Brings an empty database to the newest schema; must close its connections. */
  migrate?: (databaseUrl: string) => Promise<unknown>;
  /**
   * The folder the migrations come from. One database per content of that folder is migrated, all others are
   * copies of it. Without a folder `migrate` runs for each database.
   */
  migrationsFolder?: string | URL;
}

export interface TestDatabase {
  /** Connection URL of the superuser. */
  readonly url: string;
  readonly name: string;
  /** Runs one statement and returns its rows. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
}

/**
 * A database of the test's own on the PostgreSQL server that all test files share, dropped when the test is
 * over, whatever is still connected to it.
 */
export async function createTestDatabase(t: TestContext, options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const server = await acquireSharedPostgres();
  const name = `test_${process.pid}_${randomBytes(5).toString('hex')}`;
  const { migrate, migrationsFolder } = options;
  const template =
    migrate !== undefined && migrationsFolder !== undefined
      ? await ensureTemplate(server, migrate, migrationsFolder)
      : 'template1';
  await withAdmin(server, (admin) => admin.query(`create database ${name} template ${template}`));
  const url = server.url(name);
  const { query, close } = openDatabase(url);
  t.teardown(async () => {
    await close();
    await withAdmin(server, (admin) => admin.query(`drop database if exists ${name} with (force)`));
  });
  if (migrate !== undefined && migrationsFolder === undefined) await migrate(url);
  return { url, name, query };
}

/** A database of a server of its own that writes like one in production, for figures: the shared one waits for no disk. */
export async function createDurableDatabase(t: TestContext): Promise<TestDatabase> {
  return openServersDatabase(t, await startTestPostgres(t, { isDurable: true }));
}

/** The first database of a server of the test's own, which is as good as any. */
export function openServersDatabase(t: TestContext, server: Pick<TestPostgres, 'url'>): TestDatabase {
  const name = 'postgres';
  const url = server.url(name);
  const { query, close } = openDatabase(url);
  t.teardown(close);
  return { url, name, query };
}

/** What a test itself asks of its database. */
function openDatabase(url: string): Pick<TestDatabase, 'query'> & { close: () => Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', () => undefined); // the connection is dropped with the database
  return {
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => {
      const result = await pool.query<Row>(text, values);
      return result.rows;
    },
    close: () => pool.end(),
  };
}

/** Migrates once per server and content of the folder; concurrent callers wait for the first. */
async function ensureTemplate(
  server: SharedPostgres,
  migrate: (databaseUrl: string) => Promise<unknown>,
  migrationsFolder: string | URL,
): Promise<string> {
  const hash = hashFolder(typeof migrationsFolder === 'string' ? migrationsFolder : fileURLToPath(migrationsFolder));
  const template = `template_${hash}`;
  await withAdmin(server, async (admin) => {
    await admin.query('select pg_advisory_lock(hashtext($1))', [template]);
    const existing = await admin.query('select 1 from pg_database where datname = $1', [template]);
    if (existing.rowCount !== 0) return;
    const draft = `${template}_${randomBytes(4).toString('hex')}`;
    await admin.query(`create database ${draft}`);
    try {
      await migrate(server.url(draft));
      await admin.query(`alter database ${draft} rename to ${template}`);
    } catch (error) {
      await admin.query(`drop database if exists ${draft} with (force)`);
      throw error;
    }
    // A template can only be copied while nobody is connected to it.
    await admin.query(`alter database ${template} allow_connections false`);
  });
  return template;
}

function hashFolder(folder: string): string {
  const hash = createHash('sha256');
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const path of files.sort()) hash.update(path.slice(folder.length)).update('\0').update(readFileSync(path)).update('\0');
  return hash.digest('hex').slice(0, 16);
}

async function withAdmin<T>(server: SharedPostgres, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: server.url('postgres') });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end(); // gives the advisory lock back as well
  }
}
