// If this breaks, a team that moves in loses people, or their passwords, or is not told whom it has left out.
//
// The files are exports of a real Django: test/fixtures/django/old-app/make_users.py.
import { readFileSync } from 'node:fs';
import { test, type Test } from 'tap';
import { startAuth } from '../auth-fixture.ts';
import { infrasignal } from '../command-line.ts';
import { createAccount, logIn } from '../requests.ts';
import { exported, fileOf, HASH, onlyDatabase, run, snapshot, userLine, type Servers } from './import-fixture.ts';

test('A15 users of a real Django log in with their old passwords, and each hash is replaced', async (t) => {
  const fixture = await startAuth(t);
  const { app, database } = fixture;
  const path = exported('users.json');
  const { code, error, result } = await run(fixture, path);
  t.equal(code, 3, error);
  t.match(result, { imported: 8, refused: 4, skipped: 0 });
  t.match(result, { without_email: 3, disabled: 1, staff: 1, without_password: 1 });

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
    const [after] = await database.query('select password_hash from users where id = $1', [before?.id]);
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
      `select id, phone_number, phone_number_e164, email, password_hash, last_login_at,
         date_trunc('milliseconds', created_at) as created, disabled_at is null as live from users order by id`,
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
  const broken = fileOf(`phone_number,password\n0750000001,${HASH}\n0750000002,"x"y\n`);
  await isUsageError(t, fixture, [broken], /well-formed/);
  t.equal(await snapshot(fixture), before, 'a file that is broken at its end leaves nothing behind');
  const help = await infrasignal(fixture, 'import-django', '--help');
  t.match(help, { code: 0, out: /--dry-run[^]*--reserve-ids[^]*For instance/ });
});

test('other names, another country', async (t) => {
  const fixture = await onlyDatabase(t);
  const path = fileOf(`key;mobile;hash;active\r\n7;0470 12 34 56;${HASH};no\r\n`);
  const names = ['id=key', 'phone_number=mobile', 'password=hash', 'is_active=active'];
  const map = names.flatMap((entry) => ['--map', entry]);
  t.match(await run(fixture, path, '--region', 'BE', ...map), { code: 0, result: { imported: 1, disabled: 1 } });
  const users = await fixture.database.query('select id::int, phone_number_e164 from users');
  t.strictSame(users, [{ id: 7, phone_number_e164: '+32470123456' }]);
});
