// If this breaks, a shared cache or a browser's back button shows somebody's tokens, or a browser can be talked into
// plain http, into framing an answer, or into running it as something else.
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { logIn, nextNumber, register, type Answer } from '../requests.ts';

const CSP = "default-src 'none';frame-ancestors 'none';base-uri 'none';form-action 'none'";

t.test('A33 every answer has the security headers; answers with tokens are in no cache', async (t) => {
  const { app } = await startAuth(t);
  const body = { phone_number: nextNumber(), password: GOOD_PASSWORD };
  const answers: [string, Answer, number][] = [
    ['registration', await register(app, body), 201],
    ['login', await logIn(app, body), 200],
    ['refused login', await logIn(app, { ...body, password: 'another one' }), 401],
    ['refused registration', await register(app, { ...body, extra: 1 }), 400],
    ['conflict', await register(app, body), 409],
    ['no such path', await app.inject('/nowhere'), 404],
    ['bad escapes', await app.inject('/%zz'), 404],
    ['no such method', await app.inject('/api/login'), 405],
    ['too large', await app.inject({ method: 'POST', url: '/api/login', payload: { a: 'x'.repeat(20_000) } }), 413],
    ['foreign host', await app.inject({ url: '/api/login', headers: { host: 'evil.example' } }), 400],
  ];
  for (const [what, answer, status] of answers) {
    t.equal(answer.statusCode, status, what);
    t.equal(answer.headers['cache-control'], 'no-store', `${what}: no-store`);
  }
  answers.push(['key set', await app.inject('/.well-known/jwks.json'), 200]);
  answers.push(['health', await app.inject('/healthz'), 200]);
  for (const [what, { headers }] of answers) {
    t.equal(headers['x-content-type-options'], 'nosniff', what);
    t.equal(headers['content-security-policy'], CSP);
    t.match(headers['strict-transport-security'], /^max-age=31536000\b/);
    t.equal(headers['referrer-policy'], 'no-referrer');
    t.notOk(headers.server ?? headers['x-powered-by'], 'says nothing of what it runs on');
    t.match(headers['content-type'], /^application\/(problem\+)?json; charset=utf-8$/);
  }
});

t.test('A33 with DEBUG there is no HSTS, and everything else', async (t) => {
  const { app } = await startAuth(t, { DEBUG: 'true' });
  const body = { phone_number: nextNumber(), password: GOOD_PASSWORD };
  for (const answer of [await register(app, body), await app.inject('/nowhere')]) {
    t.notOk('strict-transport-security' in answer.headers);
    t.equal(answer.headers['x-content-type-options'], 'nosniff');
    t.equal(answer.headers['content-security-policy'], CSP);
    t.equal(answer.headers['cache-control'], 'no-store');
  }
});
