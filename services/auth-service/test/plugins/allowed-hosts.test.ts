// If this breaks, a forged Host header reaches whatever builds a link from it, and a page that resolves its own name to
// our address (DNS rebinding) can talk to a service on somebody's machine.
import t from 'tap';
import { startAuth } from '../auth-fixture.ts';
import { problemOf, type Answer } from '../requests.ts';

const JWKS = '/.well-known/jwks.json';

t.test('A31 by default only this machine’s own names are answered', async (t) => {
  const { app } = await startAuth(t);
  const ask = (host: string, url = JWKS): Promise<Answer> => app.inject({ url, headers: { host } });
  const own = ['localhost', 'localhost:8000', 'LocalHost', 'localhost.', '127.0.0.1', '127.0.0.1:8001', '[::1]', '[::1]:8001'];
  for (const host of own) t.equal((await ask(host)).statusCode, 200, host);
  const foreign = [
    'evil.example',
    'localhost.evil.example',
    'notlocalhost',
    'evil.example:8000',
    'evil.example#localhost',
    'evil.example/localhost',
    'localhost@evil.example',
    'localhost:8000@evil.example',
    'localhost:evil.example',
    '[::1]evil.example',
    '[::1].evil.example:80',
    '127.0.0.1.evil.example',
    '127.0.0.2',
    '0.0.0.0',
    '2130706433',
    '[::2]',
    '[::ffff:127.0.0.1]',
    '[::1',
    '::1',
    ':8000',
    ' ',
    '*',
    'localhost..',
  ];
  for (const host of foreign) {
    const answer = await ask(host);
    t.equal(answer.statusCode, 400, host);
    t.equal(problemOf(answer).code, 'host_not_allowed');
    t.notMatch(JSON.stringify(answer.headers) + answer.body, /evil/, 'and not repeated');
  }
  for (const url of ['/api/register/', '/nowhere', '/api/login?x=1']) {
    t.equal(problemOf(await ask('evil.example', url)).code, 'host_not_allowed', `${url}: whatever is asked for`);
  }
});

t.test('A31 ALLOWED_HOSTS: names, domains with their subdomains, or all', async (t) => {
  const { app } = await startAuth(t, { ALLOWED_HOSTS: 'api.test, .Example.com' });
  const ask = async (host: string): Promise<number> => (await app.inject({ url: JWKS, headers: { host } })).statusCode;
  for (const host of ['api.test', 'API.TEST:443', 'example.com', 'a.example.com', 'a.b.EXAMPLE.com']) {
    t.equal(await ask(host), 200, host);
  }
  for (const host of ['localhost', 'www.api.test', 'badexample.com', 'example.com.evil.test', 'com', '.example.org']) {
    t.equal(await ask(host), 400, host);
  }
  const { app: open } = await startAuth(t, { ALLOWED_HOSTS: '*' });
  t.equal((await open.inject({ url: JWKS, headers: { host: 'any.example' } })).statusCode, 200);
});

t.test('A31 probes are answered by whatever address they use', async (t) => {
  const { app } = await startAuth(t);
  for (const url of ['/healthz', '/readyz', '/metrics', '/healthz/', '/readyz?verbose']) {
    t.equal((await app.inject({ url, headers: { host: '10.1.2.3:8001' } })).statusCode, 200, url);
  }
  t.equal((await app.inject({ url: '/healthz/../api/login', headers: { host: '10.1.2.3' } })).statusCode, 400);
});

t.test('A31 X-Forwarded-Host counts only behind a trusted proxy', async (t) => {
  const { app } = await startAuth(t);
  const ask = async (server: typeof app, host: string, forwarded: string): Promise<number> =>
    (await server.inject({ url: JWKS, headers: { host, 'x-forwarded-host': forwarded } })).statusCode;
  t.equal(await ask(app, 'evil.example', 'localhost'), 400);
  t.equal(await ask(app, 'localhost', 'evil.example'), 200);
  const { app: behind } = await startAuth(t, { TRUST_PROXY: '1' });
  t.equal(await ask(behind, 'upstream:8001', 'localhost'), 200);
  t.equal(await ask(behind, 'localhost', 'evil.example'), 400);
  t.equal(await ask(behind, 'localhost', 'localhost, evil.example'), 400, 'what the nearest proxy added');
});
