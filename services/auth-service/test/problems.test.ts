// If this breaks, clients cannot tell one error from another, old clients lose the texts they show beside their fields,
// or an error shows strangers how the inside is made.
import { ProblemSchema } from '@infrasignal/shared';
import { Compile } from 'typebox/compile';
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from './auth-fixture.ts';
import { createAccount, logIn, nextNumber, post, problemOf, register, type Answer } from './requests.ts';

type Assertions = Pick<typeof t, 'equal' | 'match' | 'ok'>;

const isProblem = Compile(ProblemSchema);

/** What an answer must not tell: SQL, table and column names, stack frames, files of this machine, library names. */
const INTERNAL = /select |insert |update |relation|column|users|outbox|node_modules|\.ts\b|\.js\b|\bat \w+ \(|file:|\/home|\/root|postgres|drizzle|pg_/i;

function checkProblem(t: Assertions, answer: Answer, status: number, code: string, path: string): void {
  t.equal(answer.statusCode, status, path);
  t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8');
  const problem = problemOf(answer);
  t.ok(isProblem.Check(problem));
  t.match(problem, { type: `urn:infrasignal:error:${code}`, status, code, instance: path, title: /\w/, detail: /\w/ });
  t.match(problem.request_id, /^[0-9a-f-]{36}$/);
}

t.test('A32 every status is the same kind of answer', async (t) => {
  const { app } = await startAuth(t);
  const { phone_number: taken } = await createAccount(app);
  const good = { phone_number: nextNumber(), password: GOOD_PASSWORD };
  const table: [Answer, number, string, string][] = [
    [await register(app, {}), 400, 'invalid_request', '/api/register/'],
    [await post(app, '/api/login', '{'), 400, 'malformed_body', '/api/login'],
    [await logIn(app, good), 401, 'invalid_credentials', '/api/login/'],
    [await app.inject('/api/nowhere?token=x'), 404, 'not_found', '/api/nowhere'],
    [await app.inject('/'), 404, 'not_found', '/'],
    [await app.inject('/api/login/?x=1'), 405, 'method_not_allowed', '/api/login/'],
    [await register(app, { ...good, phone_number: taken }), 409, 'phone_number_taken', '/api/register/'],
    [await app.inject(`/${'x'.repeat(9_000)}`), 404, 'not_found', `/${'x'.repeat(9_000)}`],
    [
      await app.inject({ method: 'DELETE', url: `/api/sessions/${'x'.repeat(9_000)}` }),
      401,
      'invalid_token',
      `/api/sessions/${'x'.repeat(9_000)}`,
    ],
    [await post(app, '/api/login/', ' '.repeat(20_000)), 413, 'payload_too_large', '/api/login/'],
    [await post(app, '/api/login/', 'x', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type', '/api/login/'],
  ];
  for (const [answer, status, code, path] of table) checkProblem(t, answer, status, code, path);
  const ids = table.map(([answer]) => problemOf(answer).request_id);
  t.equal(new Set(ids).size, table.length);
  t.ok(table.every(([answer]) => !INTERNAL.test(answer.body)));
});

t.test('A32 405 lists what the path has', async (t) => {
  const { app } = await startAuth(t);
  for (const [url, allow] of [['/api/register', 'POST'], ['/api/login/', 'POST'], ['/.well-known/jwks.json', 'GET, HEAD']]) {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      const answer = await app.inject({ method: method as 'PUT', url: url! });
      checkProblem(t, answer, 405, 'method_not_allowed', url!);
      t.equal(answer.headers.allow, allow);
    }
  }
});

t.test('A32 fields are named by pointer, code and text, and as Django REST Framework named them', async (t) => {
  const { app } = await startAuth(t);
  const answer = await register(app, { phone_number: 12, password: GOOD_PASSWORD, email: 'nobody', other: 1 });
  const { errors, ...rest } = problemOf(answer);
  t.strictSame(errors, [
    { pointer: '/other', code: 'unknown_field', detail: 'This field does not exist here; nothing is dropped in silence.' },
    { pointer: '/phone_number', code: 'invalid_type', detail: 'This field has the wrong type; nothing is converted.' },
  ]);
  t.match(rest, { other: [errors![0]!.detail], phone_number: [errors![1]!.detail] });
  const second = problemOf(await register(app, { phone_number: '12', password: 'short', email: 'nobody' }));
  t.match(second, { phone_number: [String], password: [String], email: [String] });
  const taken = await createAccount(app);
  const conflict = await register(app, { phone_number: taken.phone_number, password: GOOD_PASSWORD });
  t.match(problemOf(conflict), { phone_number: [/account/], errors: [{ pointer: '/phone_number' }] });
});

t.test('A32 an error of ours says nothing about itself, with DEBUG or without', async (t) => {
  for (const DEBUG of ['false', 'true']) {
    const { app, database } = await startAuth(t, { DEBUG });
    const { phone_number: existing } = await createAccount(app);
    const register500 = (): Promise<Answer> => register(app, { phone_number: nextNumber(), password: GOOD_PASSWORD });
    const login500 = (): Promise<Answer> => logIn(app, { phone_number: existing, password: GOOD_PASSWORD });
    const failures: [string, string, (() => Promise<Answer>)[]][] = [
      ['a table is missing', 'alter table sessions rename to sessions_away', [register500, login500]],
      ['another table is missing', 'alter table users rename to users_away', [register500, login500]],
      ['a column is missing', 'alter table users_away rename column phone_number to away', [register500]],
    ];
    for (const [what, statement, requests] of failures) {
      await database.query(statement);
      for (const request of requests) {
        const answer = await request();
        checkProblem(t, answer, 500, 'internal_error', problemOf(answer).instance);
        const { instance: _instance, ...told } = problemOf(answer);
        t.notMatch(JSON.stringify(told), INTERNAL, what);
        t.notMatch(answer.body, existing);
      }
    }
    await database.query('alter table users_away rename column away to phone_number');
    await database.query('alter table users_away rename to users');
    await database.query('alter table sessions_away rename to sessions');
    t.equal((await login500()).statusCode, 200, 'and it goes on when what was missing is back');
    t.same(
      await database.query('select count(*)::int as users, (select count(*)::int from outbox) as events from users'),
      [{ users: 1, events: 2 }],
      'what failed has written nothing',
    );
  }
});
