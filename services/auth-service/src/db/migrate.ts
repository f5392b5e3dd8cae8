import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { advisoryLocks } from './advisory-locks.ts';

const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url));

/**
 * Brings the database to this release's schema. Safe with any number of instances starting at once: one migrates,
 * the others wait for its lock and find nothing left to do.
 * @throws whatever the database says, after which nothing of the failed migration remains
 */
export async function migrateDatabase(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'infrasignal-migrate' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [advisoryLocks.migrations]);
    await client.query("set client_min_messages to 'warning'");
    await migrate(drizzle(client), { migrationsFolder });
  } finally {
    // Ending the connection also ends its session lock.
    await client.end();
  }
}

/**
 * For an instance that does not migrate itself. A schema that is newer than this release is none of its business:
 * migrations are safe while the previous release still runs.
 * @throws Error that says so when a migration of this release is missing in the database
 */
export async function requireMigratedDatabase(databaseUrl: string): Promise<void> {
  const missing = await findMissingMigrations(databaseUrl);
  if (missing.length === 0) return;
  throw new Error(
    `the database lacks ${missing.length} migrations of this release, and MIGRATE_AT_START is false: ` +
      'run `infrasignal migrate`',
  );
}

/** The names of this release's migrations that the database does not have yet, in their order. */
export async function findMissingMigrations(databaseUrl: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'infrasignal-migrate' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const newest = await findNewestMigration(client);
    return readJournal().flatMap(({ when, tag }) => (when > newest ? [tag] : []));
  } finally {
    await client.end();
  }
}

/** What drizzle-kit notes of each migration: the name of its file, and when it was made, in milliseconds. */
function readJournal(): { when: number; tag: string }[] {
  const text = readFileSync(join(migrationsFolder, 'meta/_journal.json'), 'utf8');
  return (JSON.parse(text) as { entries: { when: number; tag: string }[] }).entries;
}

/** The time that its file gives to the newest migration that was applied, in milliseconds; 0 when none was. */
async function findNewestMigration(client: pg.Client): Promise<number> {
  const found = await client.query<{ name: string | null }>(
    "select to_regclass('drizzle.__drizzle_migrations')::text as name",
  );
  if (found.rows[0]?.name == null) return 0;
  const newest = await client.query<{ at: number }>(
    'select coalesce(max(created_at), 0)::float8 as at from drizzle.__drizzle_migrations',
  );
  return newest.rows[0]?.at ?? 0;
}
