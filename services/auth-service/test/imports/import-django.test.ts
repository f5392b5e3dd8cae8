// If this breaks, a team that moves in loses people, or lets in somebody under another one's id, or overwrites what
// people have changed here since.
//
// The files are exports of a real Django: test/fixtures/django/old-app/make_users.py.
import { createTestDirectory, waitFor } from '@infrasignal/testkit';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import tap, { test, type Test } from 'tap';
import { createAuthDatabase, GOOD_PASSWORD, startAuth, testEnvironment } from '../auth-fixture.ts';
import { infrasignal, type Run } from '../command-line.ts';
import { createAccount, logIn, nextNumber, register } from '../requests.ts';

const directory = createTestDirectory(tap);

/** An exported file of the fixture, somewhere where a report can be put beside it. */
function exported(name: 'users.json' | 'users.jsonl' | 'users.csv'): string {
  const path = join(directory, name);
  writeFileSync(path, readFileSync(new URL(`../fixtures/django/old-app/${name}`, import.meta.url)));
  return path;
}

/** What the command needs: it connects to no broker. */
type Servers = Parameters<typeof infrasignal>[0];

async function onlyDatabase(t: Test): Promise<Servers> {
  return { database: await createAuthDatabase(t), nats: { url: 'nats://127.0.0.1:1' } };
}

let filesMade = 0;

function fileOf(content: string): string {
  filesMade += 1;
  const path = join(directory, `made-${filesMade}.txt`);
  writeFileSync(path, content);
  return path;
}

const HASH = 'pbkdf2_sha256$260000$1O5H3tFFogh4pnOX7p8Vbh$gFFdfI8L2RGg2xlvcw5euP4wEvLmXOwQKNtKG1Motak=';

/** A JSON line of a user. Numbers from 1 on give each a number of its own. */
function userLine(id: number, fields: Record<string, unknown> = {}): string {
  const number = `07${String(50_000_000 + id)}`;
  return JSON.stringify({ id, phone_number: number, password: HASH, ...fields });
}

interface Result {
  imported: number;
  imported_before: number;
  skipped: number;
  refused: number;
  without_email: number;
  report: string;
}

async function run(fixture: Servers, ...argv: string[]): Promise<Run & { result: Result }> {
  const done = await infrasignal(fixture, 'import-django', ...argv, '--json');
  return { ...done, result: (done.out === '' ? {} : JSON.parse(done.out)) as Result };
}

async function snapshot({ database }: Pick<Servers, 'database'>): Promise<string> {
  const tables = ['users', 'imported_users', 'reserved_user_ids', 'sessions'];
  const rows = await Promise.all(tables.map((table) => database.query(`select * from ${table} order by 1`)));
  const sequence = await database.query('select last_value, is_called from users_id_seq');
  return JSON.stringify([rows, sequence]);
}

test('A15 users of a real Django log in with their old passwords, and each hash is replaced', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const path = exported('users.json');
  const { code, error, result } = await run(fixture, path);
  t.equal(code, 3, error);
  t.match(result, { imported: 8, refused: 4, skipped: 0, without_email: 3, disabled: 1, staff: 1, without_password: 1 });

  const users = await database.query<Record<string, unknown>>(
    `select id::int, phone_number, phone_number_e164, email, event_seq::int, scopes, created_at, last_login_at,
       disabled_at is not null as disabled, password_hash from users order by id`,
  );
  t.strictSame(users.map(({ id }) => id), [1, 2, 3, 4, 6, 7, 8, 13], 'everybody keeps the id');
  t.match(users[0], {
    phone_number: '0612345601',
    phone_number_e164: '+33612345601',
    email: 'argon2@example.com',
    event_seq: 0,
    scopes: [],
    created_at: new Date('2021-03-01T09:30:00.123Z'),
    last_login_at: null,
    disabled: false,
  });
  t.match(users[3], { last_login_at: new Date('2024-05-06T07:08:09Z') });
  t.match(users[4], { email: 'staff@example.com', scopes: [] });
  t.match(users[5], { disabled: true, email: null });
  t.match(users[6], { password_hash: null, email: null });
  t.strictSame(await database.query('select * from outbox'), [], 'they registered long ago: nobody is told');

  for (const [number, format] of [
    ['0612345601', /^argon2\$/],
    ['0612345602', /^pbkdf2_sha256\$/],
    ['+33 6 12 34 56 03', /^bcrypt_sha256\$/],
    ['06.12.34.56.04', /^argon2\$/],
  ] as const) {
    const before = users.find((user) => user.phone_number === number);
    t.match(before?.password_hash, format);
    const credentials = { phone_number: number, password: `old password of ${number}` };
    const answer = await logIn(app, credentials);
    t.equal(answer.statusCode, 200, number);
    t.match(answer.json(), { user_id: before?.id, phone_number: number });
    const [after] = await database.query<{ password_hash: string }>('select password_hash from users where id = $1', [before?.id]);
    t.match(after?.password_hash, /^\$argon2id\$v=19\$m=256,/, 'hashed as today');
    t.equal((await logIn(app, credentials)).statusCode, 200, 'and again');
  }
  const events = await database.query('select user_id::int, seq::int, type from outbox where user_id = 1 order by seq');
  t.strictSame(events, [1, 2].map((seq) => ({ user_id: 1, seq, type: 'user.login' })), 'their events begin with 1');
  for (const number of ['0612345607', '0612345608']) {
    const answer = await logIn(app, { phone_number: number, password: `old password of ${number}` });
    t.equal(answer.statusCode, 401, 'disabled, or without a password');
  }
  t.equal((await createAccount(app)).user_id, 14, 'the next id is a new one');
});

test('the three ways of exporting mean the same', async (t) => {
  const contents = new Set<string>();
  for (const name of ['users.json', 'users.jsonl', 'users.csv'] as const) {
    const fixture = await onlyDatabase(t);
    const { code, error } = await run(fixture, exported(name));
    t.equal(code, 3, error);
    const rows = await fixture.database.query(
      `select id, phone_number, phone_number_e164, email, password_hash, date_trunc('milliseconds', created_at) as created,
         last_login_at, disabled_at is null as live from users order by id`,
    );
    contents.add(JSON.stringify(rows));
  }
  t.equal(contents.size, 1);
});

test('the report names who was not imported and why, and gives nothing away', async (t) => {
  const fixture = await onlyDatabase(t);
  const { result } = await run(fixture, exported('users.csv'));
  const text = readFileSync(result.report, 'utf8');
  const rows = text.trimEnd().split('\n').map((line) => line.split(',').slice(0, 4).join(','));
  t.strictSame(rows, [
    'line,id,outcome,reason',
    '6,6,imported,staff',
    '7,7,imported,email_duplicate',
    '8,8,imported,email_duplicate',
    '9,9,refused,duplicate_phone_number',
    '10,10,refused,duplicate_phone_number',
    '11,11,refused,invalid_phone_number',
    '12,12,refused,password_unsalted',
    '13,13,imported,email_invalid',
  ]);
  t.match(text, /9,9,refused,duplicate_phone_number,"lines 9, 10"/, 'both are named');
  t.notMatch(text, /argon2|pbkdf2|\$|061234|33612|@/, 'no hash, no number, no address');
});

test('a dry run reports the same and changes nothing', async (t) => {
  const fixture = await startAuth(t);
  await createAccount(fixture.app, { phone_number: '0612345601' });
  const before = await snapshot(fixture);
  const path = exported('users.json');
  const dry = await run(fixture, path, '--dry-run');
  t.equal(dry.code, 3, dry.error);
  t.equal(await snapshot(fixture), before);
  const dryReport = readFileSync(dry.result.report, 'utf8');
  const wet = await run(fixture, path);
  t.strictSame({ ...dry.result, dry_run: false }, wet.result);
  t.equal(readFileSync(wet.result.report, 'utf8'), dryReport);
  const lines = (await infrasignal(fixture, 'import-django', path, '--dry-run')).out;
  t.match(lines, /Nothing was changed\./);
});

test('run again, it finds everybody in, whatever has become of them', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const path = fileOf([1, 2, 3, 4].map((id) => userLine(id)).join('\n'));
  t.match(await run(fixture, path), { code: 0, result: { imported: 4 } });
  await database.query(`update users set password_hash = 'changed', phone_number_e164 = '+33199999999' where id = 2`);
  await database.query('delete from users where id = 3');
  const before = await snapshot(fixture);
  t.match(await run(fixture, path), { code: 0, result: { imported: 0, imported_before: 4, refused: 0, skipped: 0 } });
  t.equal(await snapshot(fixture), before, 'changed, renamed and deleted accounts stay as they are');
  t.equal((await createAccount(app)).user_id, 5);
});

test('accounts that were made here are left alone, and their ids are nobody else’s', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const own = await createAccount(app, { phone_number: '0750000009', email: 'taken@example.com' });
  const gone = await createAccount(app);
  const headers = { authorization: `Bearer ${gone.access}` };
  await app.inject({ method: 'DELETE', url: '/api/me/', payload: { current_password: GOOD_PASSWORD }, headers });
  t.strictSame([own.user_id, gone.user_id], [1, 2]);

  const lines = [userLine(1), userLine(2), userLine(3, { email: 'taken@example.com' }), userLine(9, { email: 'a@b.co' })];
  const path = fileOf(lines.join('\n'));
  const { code, result } = await run(fixture, path);
  t.equal(code, 3);
  t.match(result, { imported: 1, refused: 2, skipped: 1, without_email: 1 });
  const report = readFileSync(result.report, 'utf8');
  t.match(report, /^1,1,refused,id_taken/m);
  t.match(report, /^2,2,refused,id_taken/m, 'the events of the account that is gone are still in the stream');
  t.match(report, /^3,3,imported,email_taken/m);
  t.match(report, /^4,9,skipped,phone_number_taken/m);
  t.equal((await logIn(app, { phone_number: '0750000009', password: GOOD_PASSWORD })).statusCode, 200);

  const renumbered = await run(fixture, path, '--new-ids');
  t.match(renumbered.result, { imported: 2, imported_before: 1, skipped: 1 });
  const origins = await database.query('select former_id, user_id::int from imported_users order by 1');
  t.strictSame(origins, [
    { former_id: '1', user_id: 10 },
    { former_id: '2', user_id: 11 },
    { former_id: '3', user_id: 3 },
  ], 'which id became which is known');
});

test('ids are kept for later files while the old system goes on registering', async (t) => {
  const fixture = await startAuth(t);
  const { app } = fixture;
  t.match(await run(fixture, fileOf(userLine(5)), '--reserve-ids', '100'), { code: 0 });
  t.equal((await createAccount(app)).user_id, 101);
  t.match(await run(fixture, fileOf([5, 6, 100].map((id) => userLine(id)).join('\n'))), {
    code: 0,
    result: { imported: 2, imported_before: 1 },
  });
  const late = await run(fixture, fileOf([101, 102, 200].map((id) => userLine(id)).join('\n')));
  t.match(late, { code: 3, result: { imported: 2, refused: 1 } }, 'those beyond are free unless somebody has had them');
  t.equal((await createAccount(app)).user_id, 201);
});

test('users without an id, with a UUID, and with impossible ones', async (t) => {
  const fixture = await onlyDatabase(t);
  const noIds = fileOf(`phone_number,password\n0750000001,${HASH}\n0750000002,\n`);
  t.match(await run(fixture, noIds), { code: 0, result: { imported: 2 } });
  t.match(await run(fixture, noIds), { code: 0, result: { imported: 0, skipped: 2 } });
  const ids = ['6f1d0f1e-4b8c-4a52-9a41-0b6d4f6f2c11', '0', '-1', '1.5', '1000000000001', '1e3'];
  const odd = fileOf(ids.map((id, at) => userLine(10 + at, { id })).join('\n'));
  const refused = await run(fixture, odd);
  t.match(refused, { code: 3, result: { imported: 0, refused: 6 } });
  t.match(readFileSync(refused.result.report, 'utf8'), /^1,6f1d0f1e-4b8c-4a52-9a41-0b6d4f6f2c11,refused,invalid_id/m);
  t.match(await run(fixture, odd, '--new-ids'), { code: 0, result: { imported: 6 } });
  t.match(await run(fixture, odd, '--new-ids'), { code: 0, result: { imported: 0, imported_before: 6 } });
  const twice = fileOf([userLine(50, { id: 7 }), userLine(51, { id: '7' })].join('\n'));
  t.match(await run(fixture, twice), { code: 3, result: { imported: 0, refused: 2 } });
});

test('killed in the middle and run again: everybody is in, once', async (t) => {
  const fixture = await onlyDatabase(t);
  const { database } = fixture;
  const count = 8_000;
  const path = fileOf(Array.from({ length: count }, (_, at) => userLine(at + 1)).join('\n'));
  const program = fileURLToPath(new URL('../../src/infrasignal.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--conditions=@infrasignal/source', '--import', 'tsx', program, 'import-django', path],
    {
      env: { ...process.env, ...testEnvironment({ databaseUrl: database.url, natsUrl: fixture.nats.url }) },
      stdio: 'ignore',
    },
  );
  const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  const imported = async (): Promise<number> =>
    (await database.query<{ count: number }>('select count(*)::int as count from users'))[0]!.count;
  await waitFor(async () => (await imported()) > 0, { timeoutMs: 60_000 });
  child.kill('SIGKILL');
  t.equal(await ended, 'SIGKILL');
  const before = await imported();
  t.ok(before < count, `${before} of ${count} were in when it was killed`);
  t.equal(before % 1_000, 0, 'whole batches');
  const { code, result } = await run(fixture, path);
  t.equal(code, 0);
  t.match(result, { imported: count - before, imported_before: before, refused: 0, skipped: 0 });
  t.strictSame(
    await database.query('select count(*)::int as users, count(distinct id)::int as ids, max(id)::int as last from users'),
    [{ users: count, ids: count, last: count }],
  );
});

test('two imports at once and people who register meanwhile stand in nobody’s way', async (t) => {
  const fixture = await startAuth(t, { HASH_WAITING_MAX: '1000', HASH_WAIT_MS_MAX: '60000' });
  const { app, database } = fixture;
  const count = 3_000;
  const path = fileOf(Array.from({ length: count }, (_, at) => userLine(at + 1)).join('\n'));
  const last = { phone_number: `07${50_000_000 + count}`, password: GOOD_PASSWORD };
  let isOver = false;
  const registering = (async () => {
    const statuses = [(await register(app, last)).statusCode];
    while (!isOver) {
      const body = { phone_number: nextNumber(), password: GOOD_PASSWORD };
      statuses.push((await register(app, body)).statusCode);
    }
    return statuses;
  })();
  const runs = await Promise.all([
    run(fixture, path, '--report', join(directory, 'one.csv')),
    run(fixture, path, '--report', join(directory, 'two.csv')),
  ]);
  isOver = true;
  const statuses = await registering;
  t.ok(statuses.every((status) => status === 201), `${statuses.length} registered`);
  // The ids of those who registered before the import set its own aside are theirs.
  for (const { result } of runs) {
    t.equal(result.imported + result.imported_before + result.skipped + result.refused, count);
    t.ok(result.skipped + result.refused <= statuses.length);
  }
  const total = runs.reduce((sum, { result }) => sum + result.imported, statuses.length);
  t.strictSame(await database.query('select count(*)::int as count from users'), [{ count: total }]);
});

/** What is typed wrong, or cannot be read: exit code 2, and nothing is done. */
async function isUsageError(t: Test, fixture: Servers, argv: string[], message: RegExp): Promise<void> {
  const { code, error } = await infrasignal(fixture, 'import-django', ...argv);
  t.equal(code, 2, argv.join(' '));
  t.match(error, message);
}

test('what is typed wrong or cannot be read is told, and nothing is done', async (t) => {
  const fixture = await onlyDatabase(t);
  const path = fileOf(userLine(1));
  const before = await snapshot(fixture);
  await isUsageError(t, fixture, [], /say which file/);
  await isUsageError(t, fixture, ['/nowhere'], /ENOENT/);
  await isUsageError(t, fixture, [fileOf('')], /empty/);
  await isUsageError(t, fixture, [fileOf('[]')], /no user/);
  await isUsageError(t, fixture, [fileOf('phone_number,password\n')], /no user/);
  await isUsageError(t, fixture, [fileOf('a,b\n1,2\n')], /no column/);
  await isUsageError(t, fixture, [path, '--region', 'Atlantis'], /country code/);
  await isUsageError(t, fixture, [path, '--format', 'xml'], /csv, json_lines, json_array/);
  await isUsageError(t, fixture, [path, '--map', 'mobile'], /fields are: id, phone_number/);
  await isUsageError(t, fixture, [path, '--map', 'name=mobile'], /fields are/);
  await isUsageError(t, fixture, [path, '--reserve-ids', 'many'], /whole number/);
  await isUsageError(t, fixture, [path, '--reserve-ids', '9', '--new-ids'], /not with --new-ids/);
  await isUsageError(t, fixture, [path, '--overwrite'], /overwrite/);
  await isUsageError(t, fixture, [fileOf(`phone_number,password\n0750000001,${HASH}\n0750000002,"x"y\n`)], /well-formed/);
  t.equal(await snapshot(fixture), before, 'a file that is broken at its end leaves nothing behind');
  t.match(await infrasignal(fixture, 'import-django', '--help'), { code: 0, out: /--dry-run[^]*--reserve-ids[^]*For instance/ });
});

test('other names, another country', async (t) => {
  const fixture = await onlyDatabase(t);
  const path = fileOf(`key;mobile;hash;active\r\n7;0470 12 34 56;${HASH};no\r\n`);
  const map = ['id=key', 'phone_number=mobile', 'password=hash', 'is_active=active'].flatMap((entry) => ['--map', entry]);
  t.match(await run(fixture, path, '--region', 'BE', ...map), { code: 0, result: { imported: 1, disabled: 1 } });
  const users = await fixture.database.query('select id::int, phone_number_e164 from users');
  t.strictSame(users, [{ id: 7, phone_number_e164: '+32470123456' }]);
});
