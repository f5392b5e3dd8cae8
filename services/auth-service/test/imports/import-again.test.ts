// If this breaks, an import that was interrupted makes people twice or not at all, overwrites what they have changed
// since, or lets somebody in under another one's id.
import { waitFor } from '@infrasignal/testkit';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { GOOD_PASSWORD, startAuth, testEnvironment } from '../auth-fixture.ts';
import { createAccount, logIn, nextNumber, register } from '../requests.ts';
import { directory, fileOf, HASH, onlyDatabase, run, snapshot, userLine } from './import-fixture.ts';

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

  const claiming = userLine(3, { email: 'taken@example.com' });
  const lines = [userLine(1), userLine(2), claiming, userLine(9, { email: 'a@b.co' })];
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
  // A commit that was sent before is still carried out.
  const ofImporter =
    "select 1 from pg_stat_activity where datname = current_database() and application_name = 'infrasignal-cli'";
  await waitFor(async () => (await database.query(ofImporter)).length === 0, {
    description: 'the database to be done with what was killed',
  });
  const before = await imported();
  t.ok(before < count, `${before} of ${count} were in when it was killed`);
  t.equal(before % 1_000, 0, 'whole batches');
  const { code, result } = await run(fixture, path);
  t.equal(code, 0);
  t.match(result, { imported: count - before, imported_before: before, refused: 0, skipped: 0 });
  t.strictSame(
    await database.query('select count(*)::int as users, count(distinct id)::int as ids, max(id)::int last from users'),
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
