// If this breaks, a service goes into production with a key that everybody knows, and anybody can make themselves a
// token; or it does not start, and does not say why.
import { runServiceToExit } from '@infrasignal/testkit';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { testEnvironment } from '../auth-fixture.ts';

const entry = 'services/auth-service/src/server.ts';

/** Nothing listens there: a service that gets as far as connecting has accepted its configuration. */
const good = testEnvironment({ databaseUrl: 'postgres://user:canary-1@127.0.0.1:1/none', natsUrl: 'nats://127.0.0.1:1' });

const EXIT_CONFIGURATION = 78;

t.test('A32 a SECRET_KEY that is known or weak ends the process, which names the variable', async (t) => {
  const weak: [string, string][] = [
    ['an example', 'django-insecure-x8Yb2Kq0pV5rT7nW3mZ6cL9dF1gH4jSa'],
    ['31 bytes', 'x8Yb2Kq0pV5rT7nW3mZ6cL9dF1gH4jS'],
    ['one letter', 'k'.repeat(64)],
  ];
  for (const [what, SECRET_KEY] of weak) {
    const { code, signal, logs } = await runServiceToExit(t, { entry, env: { ...good, SECRET_KEY } });
    t.same({ code, signal }, { code: EXIT_CONFIGURATION, signal: null }, what);
    t.equal(logs.trim().split('\n').length, 1, 'one line');
    t.match(logs, /^auth-service: SECRET_KEY /);
    t.notOk(logs.includes(SECRET_KEY), 'without the key');
    t.notMatch(logs, 'canary');
  }
});

t.test('A32 everything that is missing or wrong is told at once, a missing SECRET_KEY among it', async (t) => {
  const { code, signal, logs } = await runServiceToExit(t, {
    entry,
    env: { DATABASE_URL: 'mysql://user:canary-2@host', PORT: 'http', DEBUG: 'maybe', DEFAULT_REGION: 'Narnia' },
  });
  t.same({ code, signal }, { code: EXIT_CONFIGURATION, signal: null });
  const lines = logs.trim().split('\n').sort();
  const named = lines.map((line) => /^auth-service: (\w+) /.exec(line)?.[1]);
  t.strictSame(named, ['DATABASE_URL', 'DEBUG', 'DEFAULT_REGION', 'NATS_URL', 'PORT', 'SECRET_KEY']);
  t.match(lines.at(-1), /SECRET_KEY is not set/);
  t.notMatch(logs, 'canary');
});

t.test('A32 a database that is not there ends the start, without the password of its URL', async (t) => {
  const { code, logs } = await runServiceToExit(t, { entry, env: good });
  t.equal(code, 1);
  t.match(logs, /^auth-service: cannot start: .*ECONNREFUSED/m);
  t.notMatch(logs, 'canary');
});

t.test('A32 the settings with their defaults, and the values at their limits', async (t) => {
  const config = loadConfig(good);
  t.match(config, {
    host: '127.0.0.1',
    port: 8001,
    isDebug: false,
    defaultRegion: 'FR',
    passwordLengthMin: 8,
    accessTokenTtlSeconds: 300,
    trustProxyHops: 0,
    logLevel: 'silent',
  });
  t.equal(loadConfig({ ...good, DEFAULT_REGION: 'GB' }).defaultRegion, 'GB');
  t.equal(loadConfig({ ...good, NATS_URL: 'nats://a:4222,nats://b:4222' }).natsUrl, 'nats://a:4222,nats://b:4222');
  for (const region of ['gb', 'XX', '33', 'constructor', 'toString', '__proto__', '001']) {
    t.throws(() => loadConfig({ ...good, DEFAULT_REGION: region }), /DEFAULT_REGION/, region);
  }
  const limits: [string, number, number][] = [
    ['PASSWORD_LENGTH_MIN', 8, 64],
    ['ACCESS_TOKEN_TTL_SECONDS', 30, 900],
    ['ARGON2_MEMORY_KIB', 8, 262_144],
    ['TRUST_PROXY', 0, 10],
  ];
  for (const [name, min, max] of limits) {
    for (const value of [min, max]) t.ok(loadConfig({ ...good, [name]: String(value) }), `${name}=${value}`);
    for (const value of [min - 1, max + 1]) {
      t.throws(() => loadConfig({ ...good, [name]: String(value) }), new RegExp(`${name} must be`), `${name}=${value}`);
    }
  }
});
