// If this breaks, a client's mistake is answered with success: a number becomes a password that nobody can type, a
// field that was never read is believed to be set, or the client is told that something is wrong but not what.
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { nextNumber, post, problemOf, refusals } from '../requests.ts';

const ROUTES = ['/api/register/', '/api/login/'];
const { app, database } = await startAuth(t);

const good = { phone_number: '0123456789', password: GOOD_PASSWORD };

async function countUsers(): Promise<number> {
  const [row] = await database.query<{ count: number }>('select count(*)::int as count from users');
  return row!.count;
}

t.test('A5 nothing is coerced and nothing dropped: every wrong body names its field', async (t) => {
  const before = await countUsers();
  const table: [unknown, string[]][] = [
    [{}, ['/password required', '/phone_number required']],
    [{ phone_number: '0123456789' }, ['/password required']],
    [{ password: GOOD_PASSWORD }, ['/phone_number required']],
    [{ ...good, is_staff: true }, ['/is_staff unknown_field']],
    [{ ...good, id: 1, user_id: 1 }, ['/id unknown_field', '/user_id unknown_field']],
    [{ ...good, Password: GOOD_PASSWORD }, ['/Password unknown_field']],
    [{ ...good, 'a/b': 1 }, ['/a~1b unknown_field']],
    [null, [' invalid_type']],
    [[], [' invalid_type']],
    [[good], [' invalid_type']],
    ['"text"', [' invalid_type']],
    ['1', [' invalid_type']],
    ['true', [' invalid_type']],
  ];
  for (const value of [123_456_789, 0, true, false, null, [], ['0123456789'], {}, { toString: 'x' }]) {
    table.push([{ ...good, phone_number: value }, ['/phone_number invalid_type']]);
    table.push([{ ...good, password: value }, ['/password invalid_type']]);
  }
  for (const route of ROUTES) {
    for (const [body, expected] of table) {
      const answer = await post(app, route, body);
      const what = `${route} ${JSON.stringify(body)}`;
      t.equal(answer.statusCode, 400, what);
      t.equal(problemOf(answer).code, 'invalid_request');
      t.same(refusals(answer), expected, what);
      for (const refusal of expected) {
        const field = refusal.split(' ', 1)[0]!.slice(1).replace('~1', '/');
        t.match(problemOf(answer)[field === '' ? 'non_field_errors' : field], [String], 'the inherited array');
      }
    }
  }
  for (const value of [1, true, [], {}, ['a@example.com']]) {
    t.same(refusals(await post(app, '/api/register/', { ...good, email: value })), ['/email invalid_type']);
  }
  t.same(refusals(await post(app, '/api/login/', { ...good, email: 'a@example.com' })), ['/email unknown_field']);
  t.equal(await countUsers(), before);
});

t.test('A5 every limit: the most that is accepted, and one more', async (t) => {
  const spaced = (length: number): string => `01 23${' '.repeat(length - 11)}456789`;
  const email = (length: number): string => {
    const rest = `@${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}`;
    return `${'l'.repeat(Math.min(64, length - rest.length - 4))}${rest.padEnd(length - 64 - 4, 'd')}.com`;
  };
  t.equal(spaced(64).length, 64);
  t.same(refusals(await post(app, '/api/login/', { ...good, phone_number: spaced(65) })), ['/phone_number too_long']);
  t.equal((await post(app, '/api/login/', { ...good, phone_number: spaced(64) })).statusCode, 401);
  t.same(refusals(await post(app, '/api/login/', { ...good, phone_number: '' })), ['/phone_number too_short']);
  t.same(refusals(await post(app, '/api/login/', { ...good, password: '' })), ['/password too_short']);
  t.same(refusals(await post(app, '/api/register/', { ...good, email: '' })), ['/email too_short']);
  t.equal(email(254).length, 254);
  t.equal((await post(app, '/api/register/', { ...good, email: email(254) })).statusCode, 201);
  t.same(refusals(await post(app, '/api/register/', { ...good, email: email(255) })), ['/email too_long']);
});

t.test('A5 several wrong fields are told together', async (t) => {
  const answer = await post(app, '/api/register/', { phone_number: '12', password: 'short', email: 'nobody' });
  t.same(refusals(answer), [
    '/email invalid_email',
    '/password password_too_short',
    '/phone_number invalid_phone_number',
  ]);
});

t.test('A5 a content type other than JSON is 415', async (t) => {
  const before = await countUsers();
  const form = new URLSearchParams(good).toString();
  const multipart = `--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n${GOOD_PASSWORD}\r\n--x--\r\n`;
  const table: [string, string][] = [
    ['application/x-www-form-urlencoded', form],
    ['multipart/form-data; boundary=x', multipart],
    ['text/plain', JSON.stringify(good)],
    ['text/plain;charset=UTF-8', JSON.stringify(good)],
    ['application/xml', '<phone_number>0123456789</phone_number>'],
    ['application/json-seq', JSON.stringify(good)],
    ['', JSON.stringify(good)],
  ];
  for (const route of ROUTES) {
    for (const [contentType, body] of table) {
      const answer = await post(app, route, body, { 'content-type': contentType });
      t.equal(answer.statusCode, 415, `${route} ${contentType}`);
      t.equal(problemOf(answer).code, 'unsupported_media_type');
    }
    const bodyless = await app.inject({ method: 'POST', url: route });
    t.equal(bodyless.statusCode, 400, 'no body and no content type');
    t.same(refusals(bodyless), [' invalid_type']);
  }
  t.equal(await countUsers(), before);
});

t.test('A5 a name given twice is refused: one of the two values would be dropped', async (t) => {
  const before = await countUsers();
  const password = JSON.stringify(GOOD_PASSWORD);
  const bodies = [
    `{"phone_number":"0123456789","password":${password},"password":${password}}`,
    `{"phone_number":"0123456789","phone_number":"0123456788","password":${password}}`,
    `{"phone_number":"0123456789","password":${password},"pass\\u0077ord":"another one"}`,
  ];
  for (const route of ROUTES) {
    for (const body of bodies) {
      const answer = await post(app, route, body);
      t.equal(answer.statusCode, 400, body);
      t.match(problemOf(answer), { code: 'malformed_body', detail: /twice/ });
    }
  }
  t.equal(await countUsers(), before);
});

t.test('A5 a body may use every freedom of JSON', async (t) => {
  const number = nextNumber();
  const body = `\r\n\t{ "pass\\u0077ord" : "correct \\u0068orse \\/ battery", "phone_number":"${number}" } `;
  t.equal((await post(app, '/api/register/', body)).statusCode, 201);
  const login = await post(app, '/api/login/', { phone_number: number, password: 'correct horse / battery' });
  t.equal(login.statusCode, 200);
});
