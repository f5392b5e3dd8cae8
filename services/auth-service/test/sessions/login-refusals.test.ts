// If this breaks, anybody can find out by logging in which phone numbers have an account and which were disabled.
import { waitFor } from '@infrasignal/testkit';
import pg from 'pg';
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { countHashes } from '../hash-counter.ts';
import { createAccount, logIn, nextNumber, problemOf, refusals, register, toE164, type Answer } from '../requests.ts';

const { app, database } = await startAuth(t);

async function createAccountThatIs(change: string): Promise<string> {
  const { phone_number: phoneNumber, user_id: userId } = await createAccount(app);
  await database.query(`update users set ${change} where id = $1`, [userId]);
  return phoneNumber;
}

/** What a stranger can see of an answer, without what is another in every answer. */
function visible(answer: Answer): unknown {
  const { date: _date, ...headers } = answer.headers;
  const { request_id: _requestId, ...body } = problemOf(answer);
  return { status: answer.statusCode, headers, body, bytes: answer.rawPayload.length };
}

t.test('A10 every refused login looks the same and takes one hash', async (t) => {
  const hashes = countHashes(t);
  const { phone_number: existing } = await createAccount(app);
  const disabled = await createAccountThatIs('disabled_at = now()');
  const withoutPassword = await createAccountThatIs('password_hash = null');
  const withBrokenHash = await createAccountThatIs("password_hash = 'no hash at all'");
  const table: [string, string, string][] = [
    ['a wrong password', existing, 'not this one either'],
    ['an unknown number', nextNumber(), GOOD_PASSWORD],
    ['a disabled account, right password', disabled, GOOD_PASSWORD],
    ['a disabled account, wrong password', disabled, 'not this one either'],
    ['an account without a password', withoutPassword, GOOD_PASSWORD],
    ['an account whose hash cannot be read', withBrokenHash, GOOD_PASSWORD],
  ];
  const reference = visible(await logIn(app, { phone_number: nextNumber(), password: 'a reference' }));
  t.match(reference, { status: 401, body: { code: 'invalid_credentials', instance: '/api/login/' } });
  for (const [what, phoneNumber, password] of table) {
    hashes.take();
    const answer = await logIn(app, { phone_number: phoneNumber, password });
    t.strictSame(visible(answer), reference, what);
    t.equal(hashes.take(), 1, `${what}: one hash is computed`);
    t.notMatch(answer.body, phoneNumber);
  }
  t.equal((await logIn(app, { phone_number: existing, password: GOOD_PASSWORD })).statusCode, 200);
});

t.test('A10 a refused login writes nothing', async (t) => {
  const { phone_number: existing } = await createAccount(app);
  const disabled = await createAccountThatIs('disabled_at = now()');
  const read = (): Promise<unknown[]> =>
    database.query(
      `select u.id, u.event_seq, u.last_login_at,
         (select count(*)::int from sessions s where s.user_id = u.id) as sessions,
         (select count(*)::int from outbox o where o.user_id = u.id) as events
       from users u where phone_number = any($1) order by id`,
      [[existing, disabled]],
    );
  const before = await read();
  await logIn(app, { phone_number: existing, password: 'not this one either' });
  await logIn(app, { phone_number: disabled, password: GOOD_PASSWORD });
  t.strictSame(await read(), before);
});

t.test('A10 an account that changes between the check and the session is refused', async (t) => {
  for (const change of ['disabled_at = now()', "password_hash = 'another'", 'password_hash = null']) {
    const { phone_number: phoneNumber, user_id: userId } = await createAccount(app);
    const other = new pg.Client({ connectionString: database.url });
    t.teardown(() => other.end());
    await other.connect();
    await other.query('begin');
    await other.query(`update users set ${change} where id = $1`, [userId]);
    const login = logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD });
    // The password was found right; the statement that opens the session waits for the row.
    await waitFor(async () => {
      const waiting = await database.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return waiting.length > 0;
    });
    await other.query('commit');
    const answer = await login;
    t.equal(answer.statusCode, 401, change);
    t.equal(problemOf(answer).code, 'invalid_credentials');
    t.same(await database.query('select count(*)::int as count from sessions where user_id = $1', [userId]), [{ count: 1 }]);
    t.same(await database.query('select max(seq)::int as seq from outbox where user_id = $1', [userId]), [{ seq: 1 }]);
  }
});

t.test('A10 a number that cannot be one is the caller’s mistake, told as such', async (t) => {
  const answer = await logIn(app, { phone_number: '12', password: GOOD_PASSWORD });
  t.equal(answer.statusCode, 400);
  t.same(refusals(answer), ['/phone_number invalid_phone_number']);
  t.equal((await register(app, { phone_number: toE164(nextNumber()), password: GOOD_PASSWORD })).statusCode, 201);
});
