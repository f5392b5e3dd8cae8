// If this breaks, an upgrade loses what accounts there are, leaves a schema that no new installation has, or breaks the
// instances of the release before, which go on running until they are replaced.
import { createTestDatabase, createTestDirectory, type TestDatabase } from '@infrasignal/testkit';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import t from 'tap';
import { migrateDatabase } from '../../src/db/migrate.ts';
import type { TestContext } from '../auth-fixture.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

interface Journal {
  readonly version: string;
  readonly dialect: string;
  readonly entries: readonly { readonly tag: string }[];
}

const journal = JSON.parse(readFileSync(join(MIGRATIONS, 'meta/_journal.json'), 'utf8')) as Journal;
const latest = journal.entries.length;

/** Rows as each schema can hold them, by how many migrations it takes. */
const ROWS: readonly (readonly [migrations: number, statements: readonly string[]])[] = [
  [
    1,
    [
      `insert into users (phone_number_e164, phone_number, email, password_hash, event_seq, scopes) values
        ('+33123456789', '01 23 45 67 89', 'a@example.org', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', 2, '{notifications:all}'),
        ('+33123456780', '0123456780', null, 'pbkdf2_sha256$36000$salt$aGFzaA==', 1, '{}'),
        ('+33123456781', '0123456781', null, null, 0, '{}')`,
      `insert into users (kind, phone_number) values ('service', 'billing')`,
      `insert into sessions (id, user_id, refresh_counter, idle_expires_at, expires_at, revoked_at)
        select gen_random_uuid(), id, 3, now() + interval '7 days', now() + interval '30 days',
          case when id % 2 = 0 then now() end from users`,
      `insert into service_clients (id, user_id, session_id, secret_hash)
        select gen_random_uuid(), u.id, s.id, 'hash' from users u join sessions s on s.user_id = u.id where kind = 'service'`,
      `insert into outbox (event_id, user_id, seq, type, payload, published_at) values
        (gen_random_uuid(), 1, 1, 'user.registered', '{"user_id": 1, "phone_number": "01 23 45 67 89"}', now()),
        (gen_random_uuid(), 1, 2, 'user.login', '{"user_id": 1, "phone_number": "01 23 45 67 89"}', null)`,
      `insert into outbox_relay (broker_identity) values ('a broker')`,
      `insert into signing_keys (kid, public_jwk, private_key_encrypted) values ('a-key', '{"kty": "OKP"}', '\\x00ff')`,
    ],
  ],
  [
    2,
    [
      `insert into registration_keys (key_mac, request_mac, session_id) select 'mac', 'mac', id from sessions limit 1`,
      `insert into imported_users (former_id, user_id) values ('7', 2)`,
      `insert into reserved_user_ids (first_id, last_id) values (10, 20)`,
    ],
  ],
  [
    3,
    [
      `insert into address_budgets (key, spent_until) values ('key', now())`,
      `insert into login_failures (account_key, source_key, failures, blocked_until, expires_at)
        values ('account', '', 3, now(), now() + interval '1 day')`,
      `insert into security_events (seq, event_id, type, data) values (1, gen_random_uuid(), 'security.x', '{}')`,
    ],
  ],
  [
    4,
    [
      `insert into broadcast_log (event_seq) values (1)`,
      `insert into notification_allowances (sender_id, minute, recipient_count, broadcast_count) values (4, now(), 1, 0)`,
      `insert into sent_notifications (id, sender_id, idempotency_key, request_hash, unknown_user_ids)
        values (gen_random_uuid(), 4, 'key', 'hash', '{99}')`,
    ],
  ],
];

/** The schema of an earlier release, by the first of the migrations alone. */
async function migrateTo(t: TestContext, database: TestDatabase, count: number): Promise<void> {
  const folder = createTestDirectory(t, 'infrasignal-migrations-');
  mkdirSync(join(folder, 'meta'));
  const entries = journal.entries.slice(0, count);
  for (const { tag } of entries) copyFileSync(join(MIGRATIONS, `${tag}.sql`), join(folder, `${tag}.sql`));
  writeFileSync(join(folder, 'meta/_journal.json'), JSON.stringify({ ...journal, entries }));
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await migrate(drizzle(client), { migrationsFolder: folder });
  } finally {
    await client.end();
  }
}

/** Columns, constraints, indexes and the migrations that were applied: what two databases have to have in common. */
function describeSchema(database: TestDatabase): Promise<unknown[]> {
  return database.query(`
    select 'column' as kind, table_name || '.' || column_name as name,
      concat_ws(' ', data_type, is_nullable, column_default, is_identity) as what
    from information_schema.columns where table_schema = 'public'
    union all select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
    union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
    union all select 'migration', hash, created_at::text from drizzle.__drizzle_migrations
    order by 1, 2, 3`);
}

/** Every row of every table, as JSON text: in the columns that the table has now. */
async function readRows(database: TestDatabase): Promise<Map<string, Record<string, unknown>[]>> {
  const tables = await database.query<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public' order by 1`,
  );
  const all = new Map<string, Record<string, unknown>[]>();
  for (const { name } of tables) {
    const rows = await database.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(r) as row from ${name} r order by to_jsonb(r)::text`,
    );
    all.set(name, rows.map(({ row }) => row));
  }
  return all;
}

t.test('from each earlier schema, with data in it, the schema becomes that of a new installation', async (t) => {
  const fresh = await createTestDatabase(t, { migrate: migrateDatabase });
  const wanted = await describeSchema(fresh);
  for (let count = 1; count < latest; count += 1) {
    const database = await createTestDatabase(t);
    await migrateTo(t, database, count);
    const fitting = ROWS.flatMap(([since, statements]) => (since <= count ? statements : []));
    for (const statement of fitting) await database.query(statement);
    const before = await readRows(database);
    for (const [table, rows] of before) t.ok(rows.length > 0, `there is data in ${table}`);

    await migrateDatabase(database.url);
    t.strictSame(await describeSchema(database), wanted, `from ${journal.entries[count - 1]?.tag ?? ''}`);
    const after = await readRows(database);
    for (const [table, rows] of before) t.match(after.get(table), rows, `what was in ${table} is still there`);
  }
});

t.test('what the release before writes is still accepted', async (t) => {
  const database = await createTestDatabase(t, { migrate: migrateDatabase });
  for (const [, statements] of ROWS) {
    for (const statement of statements) await t.resolves(database.query(statement), statement.slice(0, 60));
  }
});

t.test('no migration takes away or changes what the release before uses', async (t) => {
  const files = readdirSync(MIGRATIONS).filter((name) => name.endsWith('.sql'));
  t.equal(files.length, latest);
  for (const name of files.slice(1)) {
    const text = readFileSync(join(MIGRATIONS, name), 'utf8');
    t.notMatch(text, /\bdrop\s|\brename\s|\balter column\b|\btruncate\b|\bdelete from\b/i, name);
    t.notMatch(text, /add column[^;]*not null(?![^;]*default)/i, `${name}: what the release before inserts has no such column`);
  }
});
