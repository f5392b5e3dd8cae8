// Gets a clean clone ready to run: checks Node, gets the pinned pnpm, installs the dependencies. Everything it has
// done before and that is still right it does not do again (about 50 ms then). Only Node's own modules.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bold, say, ScriptError } from './console.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const PNPM_VERSION = '12.21.0';
const NODE_MINIMUM = [20, 19];
// node_modules of this repository takes about 400 MB, pnpm's store as much again when it is on the same disk.
const INSTALL_BYTES_MIN = 1_000_000_000;

const TOOLS = join(ROOT, 'node_modules/.cache/infrasignal');
const PNPM_HOME = join(TOOLS, `pnpm-${PNPM_VERSION}`);
const STAMP = join(TOOLS, 'installed');

/** Resolves with the path of pnpm when everything that the clone needs is installed. */
export async function bootstrap() {
  checkNode();
  const pnpm = await findPnpm();
  const fingerprint = await fingerprintOfDependencies();
  if (readStamp() === fingerprint && existsSync(join(ROOT, 'node_modules/.modules.yaml'))) return pnpm;
  checkSpace();
  say(bold('Installing the dependencies'));
  const startedAt = Date.now();
  const install = await run(pnpm, ['install', '--frozen-lockfile', '--reporter=append-only']);
  if (install.code !== 0) throw installFailure('The dependencies could not be installed', install, pnpm);
  mkdirSync(TOOLS, { recursive: true });
  writeFileSync(STAMP, fingerprint);
  say(`  installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  return pnpm;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = NODE_MINIMUM;
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return;
  throw new ScriptError(
    `This is Node ${process.versions.node}; infraSignal needs ${NODE_MINIMUM.join('.')} or newer`,
    'Install a newer Node (https://nodejs.org) and try again.',
  );
}

async function findPnpm() {
  const own = join(PNPM_HOME, 'node_modules/.bin/pnpm');
  if (versionOf(own) === PNPM_VERSION) return own;
  // pnpm on the PATH would read the pin of another project in the folder it is run in; here it finds ours.
  if (versionOf('pnpm') === PNPM_VERSION) return 'pnpm';
  say(bold(`Getting pnpm ${PNPM_VERSION}`));
  try {
    mkdirSync(PNPM_HOME, { recursive: true });
    writeFileSync(join(PNPM_HOME, 'package.json'), '{ "private": true }\n');
  } catch (error) {
    throw filesystemFailure(error);
  }
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts=false', '--loglevel=error'];
  const install = await run('npm', ['install', '--prefix', PNPM_HOME, ...flags, `pnpm@${PNPM_VERSION}`]);
  if (install.code !== 0) throw installFailure(`pnpm ${PNPM_VERSION} could not be installed`, install, null);
  if (versionOf(own) !== PNPM_VERSION) {
    throw new ScriptError(
      `pnpm ${PNPM_VERSION} was installed in ${PNPM_HOME}, but does not run`,
      'Delete that folder and try again; pnpm needs Linux or macOS on x64 or arm64 and a file system without noexec.',
    );
  }
  return own;
}

function versionOf(command) {
  const result = spawnSync(command, ['--version'], { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return result.status === 0 ? result.stdout.trim() : null;
}

/** Changes when a dependency may have changed, or what they were built for. */
async function fingerprintOfDependencies() {
  const hash = createHash('sha256');
  hash.update(`${PNPM_VERSION} ${process.platform} ${process.arch} ${process.versions.modules}\n`);
  const files = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', 'e2e/package.json'];
  for (const folder of ['packages', 'services']) {
    const names = existsSync(join(ROOT, folder)) ? readdirSync(join(ROOT, folder)).sort() : [];
    files.push(...names.map((name) => `${folder}/${name}/package.json`));
  }
  for (const file of files) {
    const path = join(ROOT, file);
    if (existsSync(path)) hash.update(`${file}\n`).update(readFileSync(path));
  }
  return hash.digest('hex');
}

function readStamp() {
  try {
    return readFileSync(STAMP, 'utf8');
  } catch {
    return null;
  }
}

function checkSpace() {
  const { bavail, bsize } = statfsSync(ROOT);
  if (bavail * bsize >= INSTALL_BYTES_MIN) return;
  throw new ScriptError(
    `Only ${Math.floor((bavail * bsize) / 1e6)} MB are free on the disk that holds ${ROOT}`,
    `Free at least ${INSTALL_BYTES_MIN / 1e6} MB and try again.`,
  );
}

/** Runs a command, shows its output as it comes and keeps the end of it for a diagnosis. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      // CI: pnpm asks no questions. The rest of the environment (proxies, registries) is the user's.
      env: { ...process.env, CI: 'true', npm_config_update_notifier: 'false' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '\n';
    const keep = (chunk) => {
      const text = chunk.toString();
      const indented = text.replace(/\n(?=.)/g, '\n  ');
      process.stdout.write(output.endsWith('\n') ? `  ${indented}` : indented);
      output = (output + text).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    // Whoever ends this process ends what it is waiting for.
    let wasAskedToEnd = false;
    const pass = (signal) => {
      wasAskedToEnd = true;
      child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, pass);
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code, signal) => {
      for (const name of signals) process.off(name, pass);
      resolve({ code: wasAskedToEnd || signal !== null ? 130 : code, output });
    });
  });
}

function installFailure(what, { code, output }, pnpm) {
  if (code === 130) return new ScriptError(`${what}: interrupted`, 'Start again; what is already there is kept.', 130);
  if (/ENOSPC|no space left/i.test(output)) {
    return new ScriptError(`${what}: the disk is full`, `Free at least ${INSTALL_BYTES_MIN / 1e6} MB and try again.`);
  }
  if (/EACCES|EPERM|EROFS|permission denied|read-only file system/i.test(output)) {
    return new ScriptError(
      `${what}: this user may not write there (see above)`,
      'The clone and ~/.local/share/pnpm must belong to you: `chown -R $(id -u) .`, or clone again as yourself.',
    );
  }
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|dns error|error sending request|network/i.test(output)) {
    return new ScriptError(
      `${what}: the package registry cannot be reached (see above)`,
      'Check the network; behind a proxy set HTTPS_PROXY, with a mirror of your own `npm config set registry`.',
    );
  }
  if (/ERR_PNPM_OUTDATED_LOCKFILE/.test(output)) {
    return new ScriptError(
      `${what}: pnpm-lock.yaml does not fit the package.json files`,
      `After a change of dependencies run \`${pnpm ?? 'pnpm'} install\` and commit pnpm-lock.yaml.`,
    );
  }
  if (/ERR_PNPM_IGNORED_BUILDS/.test(output)) {
    return new ScriptError(
      `${what}: a dependency has an install script that nobody has decided about (see above)`,
      'Add it to allowBuilds in pnpm-workspace.yaml: false if it works without its script, else true.',
    );
  }
  return new ScriptError(`${what} (exit code ${code}, see above)`, 'Delete node_modules and try again.');
}

function filesystemFailure(error) {
  return new ScriptError(
    `Cannot write to ${TOOLS}: ${error.message}`,
    'The clone must belong to you (`chown -R $(id -u) .`), and its disk needs space.',
  );
}
