// If this breaks, instances do not know which kinds of hashes there are, and the time of a refusal tells which numbers
// were imported; or they read every account to find out.
import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import t from 'tap';
import * as schema from '../../src/db/schema/index.ts';
import { findHashOfEachKind } from '../../src/features/passwords/password-kinds-repository.ts';
import { classifyPasswordHash } from '../../src/lib/password-hash/classify-password-hash.ts';
import { createPasswordHasher } from '../../src/lib/password-hasher.ts';
import { createAuthDatabase } from '../auth-fixture.ts';
import { readDjangoHashes } from '../fixtures/django/password-hashes.ts';

const database = await createAuthDatabase(t);
const pool = new pg.Pool({ connectionString: database.url, max: 1 });
t.teardown(() => pool.end());
const db = drizzle(pool, { schema });

let users = 0;

async function insertUsers(passwordHashes: readonly (string | null)[]): Promise<void> {
  const numbers = passwordHashes.map(() => `+3361${String((users += 1)).padStart(7, '0')}`);
  await database.query(
    `insert into users (phone_number_e164, phone_number, password_hash)
       select number, number, hash from unnest($1::text[], $2::text[]) as new (number, hash)`,
    [numbers, passwordHashes],
  );
}

/** The kind and its cost, as the hasher sees it. */
function kindOf(hash: string): string {
  const read = classifyPasswordHash(hash);
  return read.isSupported ? `${read.hash.format} ${read.hash.work.kind.name} ${read.hash.work.amount}` : '';
}

t.test('A11 without accounts there are no kinds', async (t) => {
  t.same(await findHashOfEachKind(db), []);
  await insertUsers([null]);
  t.same(await findHashOfEachKind(db), []);
});

t.test('A11 one hash of each kind is found, and none is missed', async (t) => {
  const ours = await Promise.all(
    [{ memoryKib: 256, iterations: 1 }, { memoryKib: 512, iterations: 2 }].map(async (cost) =>
      (await createPasswordHasher(cost)).hash('a password'),
    ),
  );
  const fixture = (['3.2', '5.2'] as const).flatMap((release) => readDjangoHashes(release).hashes.map(({ hash }) => hash));
  const scrypt = `scrypt$2$another salt$16$1$${'A'.repeat(86)}==`;
  const hashes = [...ours, ...fixture, scrypt, 'no hash at all', 'md5$salt$5f4dcc3b5aa765d61d8327deb882cf99'];
  await insertUsers(hashes);
  const found = await findHashOfEachKind(db);
  t.same(found.map(kindOf).sort(), [...new Set(hashes.map(kindOf))].sort(), 'as many as the hasher tells apart');
  t.ok(found.every((hash) => hashes.includes(hash)));
});

t.test('A11 what nobody has any more is gone', async (t) => {
  await database.query("update users set password_hash = null where password_hash not like '$argon2id$v=19$m=256,%'");
  t.same((await findHashOfEachKind(db)).map(kindOf), ['argon2 $argon2id$v=19$m=256,t=1,p=1 1']);
});

t.test('A11 a step through the index per kind, not a look at every account', async (t) => {
  const [hash] = await findHashOfEachKind(db);
  await insertUsers(Array.from({ length: 3_000 }, () => hash ?? ''));
  await database.query('analyze users');
  const read = async (): Promise<number> => {
    const { rows } = await pool.query<{ count: number }>(
      "select seq_tup_read::int as count from pg_stat_xact_user_tables where relname = 'users'",
    );
    return rows[0]?.count ?? 0;
  };
  await pool.query('begin');
  const before = await read();
  await findHashOfEachKind(db);
  t.equal((await read()) - before, 0, 'no row was read in passing');
  await pool.query('commit');
});
