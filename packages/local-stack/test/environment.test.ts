// If this breaks, settings in `.env` are ignored or win over what was really set, or a typo is taken for a port.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { forServices, readEnvironment, readPort } from '../src/environment.ts';

test('.env fills in what the real environment does not set', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'environment-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, '.env');
  t.same(readEnvironment(file, { A: '1' }), { A: '1' }, 'there need not be one');
  // As the inherited documentation shows it.
  writeFileSync(file, '# comment\nDEBUG=True\nSECRET_KEY="a b # c"\nALLOWED_HOSTS=localhost,127.0.0.1\nPORT=9000\n');
  t.same(readEnvironment(file, { PORT: '8001' }), {
    DEBUG: 'True',
    SECRET_KEY: 'a b # c',
    ALLOWED_HOSTS: 'localhost,127.0.0.1',
    PORT: '8001',
  });
  t.throws(() => readEnvironment(directory, {}), { message: /cannot be read/ });
  t.end();
});

test('ports are numbers from 1 to 65535', (t) => {
  t.equal(readPort({}, 'PORT'), undefined);
  t.equal(readPort({ PORT: '' }, 'PORT'), undefined);
  t.equal(readPort({ PORT: '1' }, 'PORT'), 1);
  t.equal(readPort({ PORT: '65535' }, 'PORT'), 65_535);
  for (const value of ['0', '65536', '-1', '8e3', '80.5', ' 80', 'http']) {
    t.throws(() => readPort({ PORT: value }, 'PORT'), { message: /PORT/ }, value);
  }
  t.end();
});

test('services do not see what npm has put there', (t) => {
  const environment = { npm_config_x: '1', NODE_OPTIONS: '--inspect', INIT_CWD: '/', PATH: '/bin', LOG_LEVEL: 'debug' };
  t.same(forServices(environment), { PATH: '/bin', LOG_LEVEL: 'debug' });
  t.end();
});
