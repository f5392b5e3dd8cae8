// If this breaks, a newcomer without nats-server cannot start, or gets an old one that loses events in a power cut
// although a better one was at hand.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { deriveSources, parseDeb822Sources, parseOneLineSources, readOsRelease } from '../src/apt-sources.ts';
import { findNatsBinary, type FindNatsBinaryOptions } from '../src/nats-binary.ts';
import { compareVersions } from '../src/nats-version.ts';
import { StackError } from '../src/stack-error.ts';

interface Machine {
  options: FindNatsBinaryOptions;
  pathDirectory: string;
  cacheDirectory: string;
  install(directory: string, version: string): string;
  downloads: number;
}

/** A machine with an empty PATH, an empty cache and a package archive that has `offered`, or cannot be reached. */
function createMachine(t: Test, offered: string | null): Machine {
  const base = mkdtempSync(join(tmpdir(), 'nats-binary-'));
  t.teardown(() => {
    rmSync(base, { recursive: true });
  });
  const pathDirectory = join(base, 'bin');
  const cacheDirectory = join(base, 'cache');
  mkdirSync(pathDirectory);
  mkdirSync(cacheDirectory);
  const install = (directory: string, version: string): string => {
    const path = join(directory, 'nats-server');
    writeFileSync(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const machine: Machine = {
    pathDirectory,
    cacheDirectory,
    install,
    downloads: 0,
    options: {
      env: { PATH: pathDirectory },
      cacheDirectory,
      download: (directory) => {
        machine.downloads += 1;
        if (offered === null) return Promise.reject(new Error('the archive cannot be reached'));
        install(directory, offered);
        return Promise.resolve();
      },
    },
  };
  return machine;
}

test('the order: NATS_SERVER_BIN, PATH, cache, package, old one on the PATH', async (t) => {
  const machine = createMachine(t, '2.10.27');
  t.match(await findNatsBinary(machine.options), { version: '2.10.27', source: 'distribution package' });
  t.match(await findNatsBinary(machine.options), { version: '2.10.27', source: 'cache' });
  t.equal(machine.downloads, 1);
  machine.install(machine.pathDirectory, '2.10.22');
  t.match(await findNatsBinary(machine.options), { source: 'cache' }, 'the one on the PATH is too old');
  const onPath = machine.install(machine.pathDirectory, '2.11.0');
  t.same(await findNatsBinary(machine.options), { path: onPath, version: '2.11.0', source: 'PATH' });
  const chosen = machine.install(mkdtempSync(join(machine.cacheDirectory, 'chosen-')), '2.9.10');
  const env = { ...machine.options.env, NATS_SERVER_BIN: chosen };
  t.match(await findNatsBinary({ ...machine.options, env }), { path: chosen, source: 'NATS_SERVER_BIN', warning: /older/ });
});

test('no archive: an old one with a warning, or a message that says what to install', async (t) => {
  const machine = createMachine(t, null);
  const error = await findNatsBinary(machine.options).catch((reason: unknown) => reason);
  t.ok(error instanceof StackError);
  t.match(error, { message: /the archive cannot be reached/, cure: /apt-get install nats-server[^]*NATS_SERVER_BIN/ });
  machine.install(machine.pathDirectory, '2.9.10');
  const found = await findNatsBinary(machine.options);
  t.match(found, { version: '2.9.10', source: 'PATH', warning: /2\.9\.10[^]*older than 2\.10\.23[^]*cannot be reached/ });
});

test('a binary that does not run is not used', async (t) => {
  const machine = createMachine(t, '2.10.27');
  writeFileSync(join(machine.cacheDirectory, 'nats-server'), 'half a download');
  t.match(await findNatsBinary(machine.options), { source: 'distribution package' });
});

test('versions are numbers', (t) => {
  t.ok(compareVersions('2.10.23', '2.9.30') > 0);
  t.ok(compareVersions('2.10.3', '2.10.23') < 0);
  t.equal(compareVersions('2.10.23', '2.10.23'), 0);
  t.end();
});

test('package sources: the machine’s own archive, this suite or newer ones', (t) => {
  const debian = parseDeb822Sources(
    [
      'Types: deb deb-src',
      '# a comment',
      'URIs: http://mirror.example/debian',
      'Suites: bookworm bookworm-updates',
      'Components: main contrib',
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
      '',
      'Types: deb',
      'URIs: http://security.example/debian-security',
      'Suites: bookworm-security',
      'Components: main',
      '',
      'Enabled: no',
      'Types: deb',
      'URIs: http://off.example/',
      'Suites: bookworm',
      'Components: main',
    ].join('\n'),
  );
  t.equal(debian.length, 2);
  const candidates = deriveSources(debian, { id: 'debian', codename: 'bookworm' });
  t.same(candidates.map(({ suite }) => suite), ['trixie', 'forky', 'sid']);
  t.equal(
    candidates[0]?.source,
    'Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n' +
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n',
  );
  const trixie = debian.map((source) => ({ ...source, suites: ['trixie'] }));
  t.same(deriveSources(trixie, { id: 'debian', codename: 'trixie' }).map(({ suite }) => suite), ['trixie', 'forky', 'sid']);

  const ubuntu = parseOneLineSources(
    '# deb http://off.example noble main\n' +
      'deb [arch=amd64 signed-by=/k.gpg] http://archive.example/ubuntu noble main restricted # note\n' +
      'deb-src http://archive.example/ubuntu noble main\n',
  );
  t.same(ubuntu, [
    { uris: ['http://archive.example/ubuntu'], suites: ['noble'], components: ['main', 'restricted'], signedBy: '/k.gpg' },
  ]);
  const newer = deriveSources(ubuntu, { id: 'ubuntu', codename: 'noble' });
  t.match(newer[0], { suite: 'plucky', source: /Components: main universe\nSigned-By: \/k\.gpg\n/ });

  t.same(deriveSources(debian, { id: '', codename: '' }), [], 'another distribution');
  t.same(deriveSources([], { id: 'debian', codename: 'bookworm' }), [], 'no source');
  t.same(readOsRelease('/nonexistent'), { id: '', codename: '' });
  t.end();
});
