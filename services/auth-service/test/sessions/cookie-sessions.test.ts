// If this breaks, a page of another site acts in the name of whoever visits it, or a script in ours reads the token
// that lives for a month.
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { createAccount, problemOf, type Answer } from '../requests.ts';

const ORIGIN = 'https://app.example.com';
const environment = { ALLOWED_ORIGINS: ORIGIN, ALLOWED_HOSTS: 'localhost' };

type Jar = Record<string, string>;

/** Keeps cookies as a browser does, without its rules: those are what the attributes are checked for. */
function updateJar(jar: Jar, answer: Answer): void {
  for (const { name, value, maxAge, expires } of answer.cookies) {
    if (maxAge === 0 || (expires !== undefined && expires.getTime() < Date.now())) delete jar[name];
    else jar[name] = value;
  }
}

interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE' | 'PATCH';
  readonly url: string;
  readonly payload?: object;
  readonly headers?: Record<string, string>;
}

function createBrowser(app: FastifyInstance): { jar: Jar; send: (call: Call) => Promise<Answer> } {
  const jar: Jar = {};
  return {
    jar,
    send: async ({ method = 'POST', url, payload, headers = {} }) => {
      const answer = await app.inject({
        method,
        url,
        cookies: jar,
        headers: { origin: ORIGIN, ...headers },
        ...(payload === undefined ? {} : { payload }),
      });
      updateJar(jar, answer);
      return answer;
    },
  };
}

async function logIn(app: FastifyInstance): Promise<ReturnType<typeof createBrowser> & { csrf: string; login: Answer }> {
  const { phone_number } = await createAccount(app);
  const browser = createBrowser(app);
  const login = await browser.send({ url: '/api/login/?session=cookie', payload: { phone_number, password: GOOD_PASSWORD } });
  return { ...browser, login, csrf: login.json<{ csrf_token: string }>().csrf_token };
}

test('A30 a cookie login sets __Host- cookies and keeps the refresh token out of the body', async (t) => {
  const { app } = await startAuth(t, environment);
  const { login } = await logIn(app);
  t.equal(login.statusCode, 200);
  t.notMatch(login.body, /v1\./, 'no refresh token in the body');
  const cookies = new Map(login.cookies.map((cookie) => [cookie.name, cookie]));
  t.strictSame([...cookies.keys()].sort(), [
    '__Host-infrasignal_access',
    '__Host-infrasignal_csrf',
    '__Host-infrasignal_device',
    '__Host-infrasignal_refresh',
  ]);
  for (const [name, cookie] of cookies) {
    t.match(cookie, { secure: true, sameSite: 'Strict', path: '/' }, name);
    t.equal(cookie.domain, undefined, `${name} belongs to this host alone`);
    t.equal(cookie.httpOnly ?? false, !name.endsWith('csrf'), `${name}: scripts see the CSRF token only`);
  }
});

test('A30 with DEBUG the cookies have plain names and work over http', async (t) => {
  const { app } = await startAuth(t, { ...environment, DEBUG: 'true' });
  const { login } = await logIn(app);
  t.ok(login.cookies.every((cookie) => cookie.name.startsWith('infrasignal_') && cookie.secure !== true));
});

test('A30 an unsafe request by cookie needs the session’s CSRF token and an allowed origin', async (t) => {
  const { app } = await startAuth(t, environment);
  const { send, csrf } = await logIn(app);
  const stranger = await logIn(app);
  t.equal((await send({ method: 'GET', url: '/api/me/' })).statusCode, 200, 'reading needs none');
  const change = (headers: Record<string, string>): Promise<Answer> =>
    send({ url: '/api/logout/all/', payload: { keep_current: true }, headers });
  const refused: [string, Record<string, string>, string][] = [
    ['no token', {}, 'csrf_failed'],
    ['another session’s token', { 'x-csrf-token': stranger.csrf }, 'csrf_failed'],
    ['a cut token', { 'x-csrf-token': csrf.slice(0, -1) }, 'csrf_failed'],
    ['a foreign origin', { 'x-csrf-token': csrf, origin: 'https://evil.example' }, 'forbidden_origin'],
    ['the null origin', { 'x-csrf-token': csrf, origin: 'null' }, 'forbidden_origin'],
    ['a cross-site fetch', { 'x-csrf-token': csrf, 'sec-fetch-site': 'cross-site' }, 'forbidden_origin'],
  ];
  for (const [what, headers, code] of refused) {
    const answer = await change(headers);
    t.equal(answer.statusCode, 403, what);
    t.equal(problemOf(answer).code, code, what);
  }
  t.equal((await change({ 'x-csrf-token': csrf })).statusCode, 200);
  t.equal((await change({ 'x-csrftoken': csrf })).statusCode, 200, 'Django’s name for the header');
});

test('A30 another site cannot log a browser in', async (t) => {
  const { app } = await startAuth(t, environment);
  const { phone_number } = await createAccount(app);
  const { send, jar } = createBrowser(app);
  const answer = await send({
    url: '/api/login/?session=cookie',
    payload: { phone_number, password: GOOD_PASSWORD },
    headers: { origin: 'https://evil.example' },
  });
  t.equal(answer.statusCode, 403);
  t.strictSame(jar, {});
});

test('A30 bearer requests are exempt, whatever cookies come along', async (t) => {
  const { app } = await startAuth(t, environment);
  const { send } = await logIn(app);
  const { access } = await createAccount(app);
  const answer = await send({
    url: '/api/logout/all/',
    headers: { authorization: `Bearer ${access}`, origin: 'https://elsewhere.example' },
  });
  t.equal(answer.statusCode, 200);
});

test('A30 a cookie session is refreshed and logged out by its cookies, with an expired access token too', async (t) => {
  const { app } = await startAuth(t, environment);
  const { send, jar, csrf } = await logIn(app);
  const before = jar['__Host-infrasignal_refresh'];
  t.equal((await send({ url: '/api/token/refresh/?session=cookie' })).statusCode, 403, 'not without the CSRF token');
  const refreshed = await send({ url: '/api/token/refresh/?session=cookie', headers: { 'x-csrf-token': csrf } });
  t.equal(refreshed.statusCode, 200);
  t.notMatch(refreshed.body, /v1\./);
  t.not(jar['__Host-infrasignal_refresh'], before, 'the refresh cookie rotated');

  delete jar['__Host-infrasignal_access']; // what a browser does when it expires
  t.equal((await send({ url: '/api/logout/' })).statusCode, 403);
  t.equal((await send({ url: '/api/logout/', headers: { 'x-csrf-token': csrf } })).statusCode, 204);
  const left = Object.keys(jar);
  t.strictSame(left, ['__Host-infrasignal_device'], 'the cookies are gone, but for the one that opens nothing');
});

test('A31 only listed origins are echoed, with Vary, never * with credentials', async (t) => {
  const { app } = await startAuth(t, environment);
  const preflight = (origin: string): Promise<Answer> =>
    app.inject({
      method: 'OPTIONS',
      url: '/api/login/',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });
  const allowed = await preflight(ORIGIN);
  t.match(allowed.headers, {
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-credentials': 'true',
    vary: /Origin/,
  });
  for (const origin of ['https://evil.example', 'null', `${ORIGIN}.evil.example`, 'http://app.example.com']) {
    const { headers } = await preflight(origin);
    t.equal(headers['access-control-allow-origin'], undefined, origin);
    t.match(headers.vary, /Origin/, 'caches keep the answers apart');
  }
});

test('A31 a Host outside ALLOWED_HOSTS is refused', async (t) => {
  const { app } = await startAuth(t, environment);
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1']) {
    const answer = await app.inject({ url: '/.well-known/jwks.json', headers: { host } });
    t.equal(answer.statusCode, 400, host);
    t.notMatch(answer.body, host, 'and not repeated');
  }
});
