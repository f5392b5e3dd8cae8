// If this breaks, anybody can try passwords on an account for as long as it takes, or keep its owner out of it.
import t from 'tap';
import { runCli } from '../../src/cli/cli.ts';
import { GOOD_PASSWORD, testEnvironment } from '../auth-fixture.ts';
import { createAccount, nextNumber } from '../requests.ts';
import {
  changePassword,
  fail,
  passSeconds,
  retryAfterOf,
  startTwo,
  tryToLogIn,
  visible,
  withoutWait,
} from './guessing.ts';

const { app, other, startAnother, database, nats } = await startTwo(t, {
  // Long enough for a slow machine not to outlast the first wait.
  LOGIN_DELAY_SECONDS: '60',
  // What is about accounts is not stopped by what is about addresses.
  ADDRESS_LOGIN_FAILURES_MAX: '1000000',
});

t.test('A12 five failures begin a wait that grows, on every instance, and success ends it', async (t) => {
  const { phone_number: phoneNumber } = await createAccount(app);
  t.strictSame(await fail(app, { phoneNumber }, 3), [401, 401, 401]);
  t.strictSame(await fail(other, { phoneNumber }, 2), [401, 401]);
  const waits: number[] = [];
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const right = await tryToLogIn(attempt % 2 === 0 ? app : other, { phoneNumber, password: GOOD_PASSWORD });
    t.equal(right.statusCode, 429, 'the right password too');
    const wrong = await tryToLogIn(attempt % 2 === 0 ? app : other, { phoneNumber });
    t.strictSame(withoutWait(wrong), withoutWait(right), 'and nothing tells them apart');
    const wait = retryAfterOf(right);
    waits.push(Math.ceil(wait / 20) * 20);
    await passSeconds(database, wait - 20);
    t.equal((await tryToLogIn(other, { phoneNumber })).statusCode, 429, 'not before it is over');
    await passSeconds(database, 20);
    t.equal((await tryToLogIn(other, { phoneNumber })).statusCode, 401);
  }
  t.strictSame(waits, [60, 120, 240, 480, 900, 900], 'it doubles up to its longest');
  await passSeconds(database, 900);
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 200);
  t.strictSame(await fail(other, { phoneNumber }, 6), [401, 401, 401, 401, 401, 429], 'the count began again');
});

t.test('A12 the count survives a restart', async (t) => {
  const first = await startAnother();
  const { phone_number: phoneNumber } = await createAccount(first);
  await fail(first, { phoneNumber }, 5);
  await first.close();
  const second = await startAnother();
  t.equal((await tryToLogIn(second, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 429);
  await passSeconds(database, 60);
  t.equal((await tryToLogIn(second, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 200);
});

t.test('A12 of a hundred guesses at once no more are looked at than of a hundred in a row', async (t) => {
  const { phone_number: known } = await createAccount(app);
  for (const phoneNumber of [known, nextNumber()]) {
    const guesses = Array.from({ length: 100 }, (_, at) => tryToLogIn(at % 2 === 0 ? app : other, { phoneNumber }));
    const statuses = (await Promise.all(guesses)).map(({ statusCode }) => statusCode);
    t.equal(statuses.filter((status) => status === 401).length, 5, 'five were looked at');
    t.equal(statuses.filter((status) => status === 429).length, 95);
  }
});

t.test('A12 numbers without an account are counted like those with one', async (t) => {
  const { phone_number: known } = await createAccount(app);
  const { phone_number: disabled, user_id: disabledId } = await createAccount(app);
  await database.query('update users set disabled_at = now() where id = $1', [disabledId]);
  const { phone_number: withoutPassword, user_id: withoutId } = await createAccount(app);
  await database.query('update users set password_hash = null where id = $1', [withoutId]);
  const seen = async (phoneNumber: string): Promise<unknown[]> => {
    const answers: unknown[] = [];
    for (let attempt = 0; attempt < 7; attempt += 1) answers.push(withoutWait(await tryToLogIn(app, { phoneNumber })));
    await passSeconds(database, 60);
    for (let attempt = 0; attempt < 2; attempt += 1) answers.push(withoutWait(await tryToLogIn(app, { phoneNumber })));
    return answers;
  };
  const reference = await seen(known);
  for (const [what, phoneNumber] of Object.entries({ disabled, withoutPassword, unknown: nextNumber() })) {
    t.strictSame(await seen(phoneNumber), reference, what);
  }
});

t.test('A12 who registers begins without the failures that others made on the number', async (t) => {
  const phoneNumber = nextNumber();
  await fail(app, { phoneNumber }, 5);
  await createAccount(app, { phone_number: phoneNumber });
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 200);
});

t.test('A12 a few mistakes are forgotten after a day, many after thirty', async (t) => {
  const { phone_number: phoneNumber } = await createAccount(app);
  await fail(app, { phoneNumber }, 4);
  await passSeconds(database, 86_390);
  t.equal((await tryToLogIn(app, { phoneNumber })).statusCode, 401);
  t.equal((await tryToLogIn(app, { phoneNumber })).statusCode, 429, 'the fifth was within the day');
  await passSeconds(database, 29 * 86_400);
  t.strictSame(await fail(app, { phoneNumber }, 2), [401, 429], 'the sixth within the thirty');
  await passSeconds(database, 30 * 86_400 + 10);
  t.strictSame(await fail(app, { phoneNumber }, 6), [401, 401, 401, 401, 401, 429]);
});

/** Fails so often in a row, without the waits in between. */
async function failPatiently(phoneNumber: string, times: number, headers: Record<string, string> = {}): Promise<void> {
  for (let attempt = 0; attempt < times; attempt += 1) {
    const { statusCode } = await tryToLogIn(app, { phoneNumber, headers });
    if (statusCode !== 401) throw new Error(`attempt ${attempt + 1} was answered ${statusCode}`);
    await passSeconds(database, 900);
  }
}

t.test('A12 after a hundred failures in a row the password is disabled', async (t) => {
  const { phone_number: known, user_id: userId, access } = await createAccount(app);
  const unknown = nextNumber();
  await failPatiently(known, 99);
  t.equal((await tryToLogIn(app, { phoneNumber: known, password: GOOD_PASSWORD })).statusCode, 200, 'not after 99');
  await failPatiently(known, 100);
  await failPatiently(unknown, 100);
  const right = await tryToLogIn(app, { phoneNumber: known, password: GOOD_PASSWORD });
  t.equal(right.statusCode, 401, 'after 100 the right one is as good as any');
  await passSeconds(database, 900);
  t.strictSame(visible(await tryToLogIn(app, { phoneNumber: known })), visible(right));
  t.strictSame(visible(await tryToLogIn(app, { phoneNumber: unknown, password: GOOD_PASSWORD })), visible(right));
  await passSeconds(database, 400 * 86_400);
  t.equal((await tryToLogIn(other, { phoneNumber: known, password: GOOD_PASSWORD })).statusCode, 401, 'for good');

  const lines: string[] = [];
  const terminal = { out: (line: string) => lines.push(line), error: (line: string) => lines.push(line) };
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  t.equal(await runCli(['users', 'unlock', known, '--json'], environment, terminal), 0, lines.join());
  t.equal(await runCli(['users', 'unlock', String(userId), '--json'], environment, terminal), 0, lines.join());
  t.strictSame(lines.map((line) => JSON.parse(line) as unknown), [
    { user_id: userId, changed: true },
    { user_id: userId, changed: false },
  ]);
  t.equal((await tryToLogIn(app, { phoneNumber: known, password: GOOD_PASSWORD })).statusCode, 200, 'until lifted');

  await failPatiently(known, 100);
  const next = 'another good pass phrase';
  const change = await changePassword(app, access, { current_password: GOOD_PASSWORD, new_password: next });
  t.equal(change.statusCode, 200, 'a session proves the password all the same');
  t.equal((await tryToLogIn(app, { phoneNumber: known, password: next })).statusCode, 200, 'and the new one is good');
});

t.test('A29 A12 a wrong current password counts, against its session and on the account', async (t) => {
  const account = await createAccount(app);
  const { access, phone_number: phoneNumber } = account;
  const second = (await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).json<{ access: string }>();
  const wrong = { current_password: 'not the right one', new_password: 'another good pass phrase' };
  for (let attempt = 0; attempt < 5; attempt += 1) {
    t.equal((await changePassword(app, access, wrong)).statusCode, 403);
  }
  const right = { ...wrong, current_password: GOOD_PASSWORD };
  const refused = await changePassword(other, access, right);
  t.equal(refused.statusCode, 429, 'the session has to wait');
  t.ok(retryAfterOf(refused) <= 60);
  const headers = { authorization: `Bearer ${access}`, 'content-type': 'application/json' };
  for (const [method, payload] of [
    ['DELETE', { current_password: GOOD_PASSWORD }],
    ['PATCH', { current_password: GOOD_PASSWORD, email: null }],
  ] as const) {
    t.equal((await app.inject({ method, url: '/api/me/', payload, headers })).statusCode, 429, `${method} as well`);
  }
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 429, 'and so have strangers');
  t.equal((await changePassword(app, second.access, right)).statusCode, 200, 'another session has not');
});

t.test('A25 the counts hold neither numbers nor addresses', async (t) => {
  const phoneNumber = nextNumber();
  await tryToLogIn(app, { phoneNumber, address: '198.51.100.77' });
  const rows = await database.query<{ row: string }>(
    'select f::text as row from login_failures f union all select b::text from address_budgets b',
  );
  t.ok(rows.length >= 2);
  for (const { row } of rows) t.notMatch(row, new RegExp(`${phoneNumber.slice(1)}|198\\.51\\.100`));
});
