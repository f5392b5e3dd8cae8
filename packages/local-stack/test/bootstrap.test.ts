// If this breaks, a clean clone does not install, installs at every start, or fails without a word on what to do.
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { PROJECT_ROOT } from '../src/state-paths.mjs';

interface Clone {
  root: string;
  /** Every call of npm and pnpm so far. */
  calls(): string[];
  start(): Promise<{ code: number | null; output: string }>;
  /** Makes the next installs fail with that output. */
  failWith(tool: 'npm' | 'pnpm', output: string): void;
}

/**
 * A clone with the real scripts, an npm that "installs" a pnpm, and a pnpm that notes what it is asked to do. What is
 * started in the end is one line.
 */
function createClone(t: Test): Clone {
  const root = mkdtempSync(join(tmpdir(), 'clone-'));
  t.teardown(() => {
    rmSync(root, { recursive: true });
  });
  for (const name of ['bootstrap.mjs', 'console.mjs', 'start.mjs']) {
    cpSync(join(PROJECT_ROOT, 'scripts', name), join(root, 'scripts', name));
  }
  const write = (path: string, text: string): string => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
    chmodSync(join(root, path), 0o755);
    return join(root, path);
  };
  write('package.json', '{ "type": "module" }');
  write('pnpm-lock.yaml', 'lockfileVersion: 1');
  write('packages/local-stack/package.json', '{ "type": "module" }');
  write('packages/local-stack/src/cli.ts', 'console.log("started");');
  const version = /PNPM_VERSION = '([^']+)'/.exec(readFileSync(join(root, 'scripts/bootstrap.mjs'), 'utf8'))?.[1] ?? '';
  const failing = (tool: string): string => `[ -f ${root}/fail-${tool} ] && { cat ${root}/fail-${tool} >&2; exit 1; }\n`;
  const pnpm = write(
    'fake-pnpm',
    `#!/bin/sh\n[ "$1" = --version ] && echo ${version} && exit 0\necho "pnpm $*" >> ${root}/calls\n${failing('pnpm')}` +
      `mkdir -p ${root}/node_modules/tsx/dist && touch ${root}/node_modules/.modules.yaml\n` +
      `echo '{"name":"tsx","exports":{"./esm/api":"./api.mjs"}}' > ${root}/node_modules/tsx/package.json\n` +
      `echo 'export const register = () => {};' > ${root}/node_modules/tsx/api.mjs\n`,
  );
  write(
    'bin/npm',
    `#!/bin/sh\necho "npm $*" >> ${root}/calls\n${failing('npm')}mkdir -p "$3/node_modules/.bin" && ` +
      `cp ${pnpm} "$3/node_modules/.bin/pnpm"\n`,
  );
  return {
    root,
    calls: () => (existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8').trim().split('\n') : []),
    failWith: (tool, output) => {
      write(`fail-${tool}`, output);
    },
    start: () => {
      // Node 20 cannot read TypeScript and needs no compiler for a line without types.
      cpSync(join(root, 'packages/local-stack/src/cli.ts'), join(root, 'packages/local-stack/src/cli.mjs'));
      const script = readFileSync(join(root, 'scripts/start.mjs'), 'utf8').replace('cli.ts', 'cli.mjs');
      writeFileSync(join(root, 'scripts/start.mjs'), script);
      const child = spawn(process.execPath, ['--conditions=@infrasignal/source', 'scripts/start.mjs'], {
        cwd: root,
        env: { PATH: `${root}/bin:/usr/bin:/bin`, HOME: root },
      });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      return new Promise((resolve) =>
        child.once('close', (code) => {
          resolve({ code, output });
        }),
      );
    },
  };
}

test('a clean clone: pnpm, then the dependencies, then the start; the next time only the start', async (t) => {
  const clone = createClone(t);
  const first = await clone.start();
  t.equal(first.code, 0, first.output);
  t.match(first.output, /Getting pnpm [^]*Installing the dependencies[^]*started/);
  const [npm, pnpm] = clone.calls();
  t.match(npm, /^npm install --prefix \S+\/node_modules\/\.cache\/infrasignal\/pnpm-\S+ .*pnpm@\d+\.\d+\.\d+$/);
  t.match(pnpm, /^pnpm install --frozen-lockfile/);

  const second = await clone.start();
  t.match(second.output, /^started$/m);
  t.notMatch(second.output, /Installing|Getting/);
  t.equal(clone.calls().length, 2, 'nothing was installed again');

  writeFileSync(join(clone.root, 'pnpm-lock.yaml'), 'lockfileVersion: 2');
  t.match((await clone.start()).output, 'Installing the dependencies');
  writeFileSync(join(clone.root, 'packages/local-stack/package.json'), '{ "type": "module", "version": "2" }');
  t.match((await clone.start()).output, 'Installing the dependencies');
  rmSync(join(clone.root, 'node_modules/.modules.yaml'));
  t.match((await clone.start()).output, 'Installing the dependencies', 'node_modules was removed');
});

const failures: [what: string, tool: 'npm' | 'pnpm', output: string, message: RegExp][] = [
  ['no network for pnpm itself', 'npm', 'npm error code ENOTFOUND', /registry cannot be reached[^]*Cure: [^]*network/],
  ['no network', 'pnpm', 'WARN GET https://x error (EAI_AGAIN)', /registry cannot be reached[^]*Cure: [^]*HTTPS_PROXY/],
  ['no space', 'pnpm', 'ENOSPC: no space left on device, write', /disk is full[^]*Cure: [^]*Free/],
  ['no rights', 'pnpm', "EACCES: permission denied, mkdir '/x'", /may not write there[^]*Cure: [^]*chown/],
  ['another lockfile', 'pnpm', 'ERR_PNPM_OUTDATED_LOCKFILE', /does not fit[^]*Cure: [^]*install/],
  ['an unknown install script', 'pnpm', 'ERR_PNPM_IGNORED_BUILDS', /install script[^]*Cure: [^]*allowBuilds/],
];

for (const [what, tool, output, message] of failures) {
  test(`${what}: cause and cure, and the next start tries again`, async (t) => {
    const clone = createClone(t);
    clone.failWith(tool, output);
    const failed = await clone.start();
    t.equal(failed.code, 1);
    t.match(failed.output, new RegExp(`Cause: [^]*${message.source}`));
    t.match(failed.output, output, 'the tool’s own words are shown');
    t.notMatch(failed.output, 'started');
    rmSync(join(clone.root, `fail-${tool}`));
    t.match((await clone.start()).output, 'started');
  });
}

test('started without npm, the sources would not be found', async (t) => {
  const clone = createClone(t);
  const child = spawn(process.execPath, ['scripts/start.mjs'], { cwd: clone.root });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  t.equal(await new Promise((resolve) => child.once('close', resolve)), 1);
  t.match(output, /Cure: [^]*npm start/);
});
