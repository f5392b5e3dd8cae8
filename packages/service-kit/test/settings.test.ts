// If this breaks, a service starts with a value nobody meant (a weak key, a port of NaN), an operator mends variables
// one start at a time, or a password from a URL lands in a log.
import { createTestDirectory } from '@infrasignal/testkit';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  ConfigurationError,
  confidential,
  flag,
  integer,
  list,
  oneOf,
  readConfig,
  secret,
  text,
  url,
  type Setting,
} from '../src/index.ts';

const description = 'A description.';

/** The value that one variable gives, or what is wrong with it. */
function read(setting: Setting<unknown>, value: string | undefined): unknown {
  try {
    return readConfig({ it: setting }, { [setting.name]: value }).it;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.problems.join('; ');
  }
}

t.test('A32 each kind of setting takes its values and refuses others by name', async (t) => {
  const port = integer('PORT', { description, min: 1, max: 65_535 });
  const isDebug = flag('DEBUG', { description });
  const hosts = list('HOSTS', { description });
  const level = oneOf('LEVEL', ['low', 'high'], { description });
  const database = url('DATABASE_URL', { description, schemes: ['postgres', 'postgresql'] });
  const broker = url('NATS_URL', { description, schemes: ['nats', 'tls'], isList: true });
  const notPort = 'PORT must be a whole number from 1 to 65535';
  const notUrl = 'DATABASE_URL must be a URL that begins with postgres:// or postgresql://';
  const notBroker = 'NATS_URL must be a URL that begins with nats:// or tls://';
  const table: [Setting<unknown>, string | undefined, unknown][] = [
    [text('NAME', { description }), ' Ada ', 'Ada'],
    [port, '1', 1],
    [port, '65535', 65_535],
    [port, '0', notPort],
    [port, '65536', notPort],
    [port, '-1', notPort],
    [port, '1e3', notPort],
    [port, '0x50', notPort],
    [port, '80.0', notPort],
    [port, '8 0', notPort],
    [port, 'Infinity', notPort],
    [port, '９', notPort],
    [integer('N', { description, min: -5, max: 5 }), '-5', -5],
    [isDebug, 'True', true],
    [isDebug, '1', true],
    [isDebug, 'yes', true],
    [isDebug, 'ON', true],
    [isDebug, 'False', false],
    [isDebug, '0', false],
    [isDebug, 'no', false],
    [isDebug, 'off', false],
    [isDebug, 'maybe', 'DEBUG must be true or false'],
    [isDebug, 'truee', 'DEBUG must be true or false'],
    [hosts, 'a, b ,,c', ['a', 'b', 'c']],
    [hosts, ',', []],
    [level, 'low', 'low'],
    [level, 'LOW', 'LEVEL must be one of low, high'],
    [level, 'constructor', 'LEVEL must be one of low, high'],
    [database, 'postgres://user:pass@host:5432/name', 'postgres://user:pass@host:5432/name'],
    [database, 'mysql://host', notUrl],
    [database, 'postgres:host', notUrl],
    [database, 'postgres://a:1,postgres://b:2', notUrl],
    [broker, 'nats://a:4222', 'nats://a:4222'],
    [broker, 'nats://a:4222,tls://b:4222 , nats://c', 'nats://a:4222,tls://b:4222 , nats://c'],
    [broker, 'nats://a:4222,', notBroker],
    [broker, 'nats://a:4222,http://b', notBroker],
  ];
  for (const [setting, value, expected] of table) {
    t.strictSame(read(setting, value), expected, `${setting.name}=${value ?? ''}`);
  }
});

t.test('A32 an absent or empty variable is its fallback, or a problem when there is none', async (t) => {
  for (const absent of [undefined, '', '   ']) {
    t.equal(read(integer('PORT', { description, fallback: 8001, min: 1, max: 9_999 }), absent), 8001);
    t.equal(read(flag('DEBUG', { description, fallback: false }), absent), false, 'false is a fallback');
    t.same(read(list('HOSTS', { description, fallback: [] }), absent), []);
    t.match(read(integer('PORT', { description, min: 1, max: 9_999 }), absent), /^PORT is not set \(1–9999\)$/);
    t.match(read(secret('SECRET_KEY', { description }), absent), /^SECRET_KEY is not set \(at least 32 bytes\)$/);
  }
});

t.test('A32 SECRET_KEY: long, not from an example, not one letter over and over', async (t) => {
  const setting = secret('SECRET_KEY', { description });
  const good = 'x8Yb2Kq0pV5rT7nW3mZ6cL9dF1gH4jSa';
  t.equal(good.length, 32);
  t.equal(read(setting, good), good);
  t.equal(read(setting, 'é'.repeat(8) + 'abcdefghijklmnop'), 'é'.repeat(8) + 'abcdefghijklmnop', 'bytes, not characters');
  const table: [string, RegExp][] = [
    [good.slice(1), /at least 32 bytes/],
    [`${good.slice(1)} `, /at least 32 bytes/],
    ['a'.repeat(64), /random text/],
    ['abcabcabcabcabcabcabcabcabcabcabcabc', /random text/],
    [`django-insecure-${good}`, /example/],
    ['votre_clef_secrete', /example/],
    [`change-me-${good}`, /example/],
    [`CHANGEME${good}`, /example/],
    ['secret', /example/],
    [`replace-this-${good}`, /example/],
  ];
  for (const [value, reason] of table) {
    const problem = String(read(setting, value));
    t.match(problem, /^SECRET_KEY /);
    t.match(problem, reason, value);
    t.notOk(problem.includes(value), 'the value is not repeated');
  }
});

t.test('A32 every problem is told at once, and no value', async (t) => {
  const table = {
    databaseUrl: confidential(url('DATABASE_URL', { description, schemes: ['postgres'] })),
    secretKey: secret('SECRET_KEY', { description }),
    port: integer('PORT', { description, min: 1, max: 9 }),
    name: text('NAME', { description, fallback: 'ok' }),
    level: oneOf('LEVEL', ['low'], { description }),
  };
  const environment = {
    DATABASE_URL: 'mysql://user:canary-1@host',
    SECRET_KEY: 'canary-2',
    PORT: 'canary-3',
    LEVEL: 'canary-4',
    OTHER: 'canary-5',
  };
  try {
    readConfig(table, environment);
    t.fail('accepted');
  } catch (error) {
    t.ok(error instanceof ConfigurationError);
    const { problems, message } = error as ConfigurationError;
    t.same(
      problems.map((problem) => problem.split(' ', 1)[0]),
      ['DATABASE_URL', 'SECRET_KEY', 'PORT', 'LEVEL'],
    );
    t.ok(problems.every((problem) => message.includes(problem)));
    t.notMatch(message, 'canary');
  }
  t.ok(table.databaseUrl.isSecret && table.secretKey.isSecret, 'never shown in documentation');
  t.notOk(table.port.isSecret);
});

t.test('a secret may be in a file, and nothing else may', async (t) => {
  const directory = createTestDirectory(t);
  const put = (name: string, content: string): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  const key = 'x8Yb2Kq0pV5rT7nW3mZ6cL9dF1gH4jSa';
  const table = { key: secret('KEY', { description }), name: text('NAME', { description, fallback: 'ok' }) };
  const path = put('key', `${key}\n`);
  t.same(readConfig(table, { KEY_FILE: path }), { key, name: 'ok' });
  t.same(readConfig(table, { KEY: key, KEY_FILE: ' ' }), { key, name: 'ok' }, 'an empty variable counts as absent');
  t.equal(readConfig(table, { KEY: key, NAME_FILE: path }).name, 'ok', 'only secrets are looked for in files');
  const refused: [Record<string, string>, RegExp][] = [
    [{ KEY: key, KEY_FILE: path }, /^KEY and KEY_FILE are both set/],
    [{ KEY_FILE: join(directory, 'missing') }, /^KEY cannot be read from the file that KEY_FILE names \(ENOENT\)$/],
    [{ KEY_FILE: directory }, /EISDIR/],
    [{ KEY_FILE: put('empty', ' \n') }, /^KEY is empty in the file/],
    [{ KEY_FILE: put('short', 'canary') }, /^KEY must be at least 32 bytes long$/],
  ];
  for (const [environment, problem] of refused) {
    try {
      readConfig(table, environment);
      t.fail('accepted');
    } catch (error) {
      t.ok(error instanceof ConfigurationError);
      t.match((error as ConfigurationError).problems, [problem]);
    }
  }
});
