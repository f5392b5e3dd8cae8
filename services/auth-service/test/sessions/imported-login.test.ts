// If this breaks, people from the old application cannot log in, keep their old hash for ever, or are let in once and
// never again.
import { waitFor } from '@infrasignal/testkit';
import pg from 'pg';
import t from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { GOOD_PASSWORD, startAuth, testEnvironment } from '../auth-fixture.ts';
import { readDjangoHashes } from '../fixtures/django/password-hashes.ts';
import { countHashes } from '../hash-counter.ts';
import { createAccount, logIn, nextNumber, problemOf, type Answer } from '../requests.ts';

const TODAY = /^\$argon2id\$v=19\$m=256,t=1,p=1\$/;
const { app, database } = await startAuth(t);

const { hashes } = readDjangoHashes('5.2');
const DECOMPOSED = 'Café-Zürich-naïve'.normalize('NFD');

function djangoHash(format: string, password: string): string {
  const entry = hashes.find((candidate) => candidate.format === format && candidate.password === password);
  if (entry === undefined) throw new Error(`the fixture has no ${format} of ${password}`);
  return entry.hash;
}

async function createImported(passwordHash: string): Promise<{ phoneNumber: string; userId: number }> {
  const { phone_number: phoneNumber, user_id: userId } = await createAccount(app);
  await database.query('update users set password_hash = $2 where id = $1', [userId, passwordHash]);
  return { phoneNumber, userId };
}

async function readHash(userId: number): Promise<string> {
  const [row] = await database.query<{ password_hash: string }>('select password_hash from users where id = $1', [userId]);
  return row!.password_hash;
}

const attempt = (phoneNumber: string, password: string): Promise<Answer> =>
  logIn(app, { phone_number: phoneNumber, password });

t.test('A15 every format logs in, is replaced by today’s on success, and not by a wrong password', async (t) => {
  const formats = [...new Set(hashes.map(({ format }) => format))];
  t.equal(formats.length, 6);
  for (const format of formats) {
    for (const password of [GOOD_PASSWORD, DECOMPOSED]) {
      const imported = djangoHash(format, password);
      const { phoneNumber, userId } = await createImported(imported);
      t.equal((await attempt(phoneNumber, `${password}!`)).statusCode, 401, format);
      t.equal(await readHash(userId), imported, 'a wrong password leaves it as it is');
      const first = await attempt(phoneNumber, password);
      t.equal(first.statusCode, 200, format);
      const renewed = await readHash(userId);
      t.match(renewed, TODAY);
      const second = await attempt(phoneNumber, password.normalize('NFC'));
      t.equal(second.statusCode, 200, 'and in again');
      t.equal(await readHash(userId), renewed, 'what is of today is kept');
      t.same(Object.keys(first.json()), Object.keys(second.json()), 'the first login looks like all others');
    }
  }
});

t.test('A15 the events of a login are those of any other when it renews the hash', async (t) => {
  const { phoneNumber, userId } = await createImported(djangoHash('pbkdf2_sha256', DECOMPOSED));
  t.equal((await attempt(phoneNumber, DECOMPOSED)).statusCode, 200);
  t.same(await database.query('select seq::int, type from outbox where user_id = $1 order by seq', [userId]), [
    { seq: 1, type: 'user.registered' },
    { seq: 2, type: 'user.login' },
  ]);
});

t.test('A15 many first logins at once all succeed, whichever of them renews the hash', async (t) => {
  const { phoneNumber, userId } = await createImported(djangoHash('pbkdf2_sha1', DECOMPOSED));
  const answers = await Promise.all(Array.from({ length: 5 }, () => attempt(phoneNumber, DECOMPOSED)));
  t.same(answers.map(({ statusCode }) => statusCode), [200, 200, 200, 200, 200]);
  t.match(await readHash(userId), TODAY);
});

t.test('A15 a password that is changed while an old hash is checked stays changed', async (t) => {
  const { phoneNumber, userId } = await createImported(djangoHash('bcrypt_sha256', DECOMPOSED));
  const other = new pg.Client({ connectionString: database.url });
  t.teardown(() => other.end());
  await other.connect();
  await other.query('begin');
  await other.query("update users set password_hash = '$argon2id$v=19$m=256,t=1,p=1$changed$meanwhile' where id = $1", [userId]);
  const login = attempt(phoneNumber, DECOMPOSED);
  // The password was found right and the hash renewed; the statement that stores it waits for the row.
  await waitFor(async () => {
    const waiting = await database.query(
      "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return waiting.length > 0;
  });
  await other.query('commit');
  t.equal((await login).statusCode, 401);
  t.equal(await readHash(userId), '$argon2id$v=19$m=256,t=1,p=1$changed$meanwhile');
});

t.test('A15 a stored hash that asks for 4 GiB or 10^9 rounds lets nobody in and is not computed', async (t) => {
  const expensive = [
    djangoHash('django_argon2', GOOD_PASSWORD).replace(/m=\d+/, 'm=4194304'),
    djangoHash('pbkdf2_sha256', GOOD_PASSWORD).replace(/\$\d+\$/, '$1000000000$'),
    djangoHash('bcrypt_sha256', GOOD_PASSWORD).replace(/\$\d\d\$/, '$31$'),
    djangoHash('scrypt', GOOD_PASSWORD).replace(/\$\d+\$/, '$67108864$'),
  ];
  for (const hash of expensive) {
    const { phoneNumber, userId } = await createImported(hash);
    const answer = await attempt(phoneNumber, GOOD_PASSWORD);
    t.equal(answer.statusCode, 401, hash.slice(0, 40));
    t.equal(problemOf(answer).code, 'invalid_credentials');
    t.equal(await readHash(userId), hash);
  }
});

t.test('A11 known and unknown numbers cost the same computations from the first request of an instance on', async (t) => {
  const auth = await startAuth(t);
  const numbers = new Map([['unknown', nextNumber()]]);
  for (const [what, hash] of [
    ['a hash of today', null],
    ['Argon2', djangoHash('django_argon2', DECOMPOSED)],
    ['bcrypt', djangoHash('bcrypt_sha256', DECOMPOSED)],
    ['no password', '!'],
  ] as const) {
    const { phone_number: phoneNumber, user_id: userId } = await createAccount(auth.app);
    if (hash !== null) await auth.database.query('update users set password_hash = $2 where id = $1', [userId, hash]);
    numbers.set(what, phoneNumber);
  }
  const servers = { databaseUrl: auth.database.url, natsUrl: auth.nats.url };
  const another = await buildApp(loadConfig(testEnvironment(servers)));
  t.teardown(() => another.close());
  await another.ready();

  const counter = countHashes(t);
  const count = async (instance: typeof another, phoneNumber: string, password: string): Promise<number> => {
    counter.take();
    t.equal((await logIn(instance, { phone_number: phoneNumber, password })).statusCode, 401);
    return counter.take();
  };
  for (const [what, phoneNumber] of numbers) {
    t.equal(await count(another, phoneNumber, 'wrong password'), 3, `${what}: one of each kind`);
    const inTwoSpellings = await count(another, phoneNumber, 'faux mot de passé'.normalize('NFD'));
    t.equal(inTwoSpellings, 5, `${what}: today’s once, Django’s in two spellings`);
  }
  await waitFor(async () => (await count(auth.app, nextNumber(), 'wrong password')) === 3, { intervalMs: 250 });
  t.pass('an instance that was running finds out');
});
