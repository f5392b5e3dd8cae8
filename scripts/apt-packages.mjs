// What the tests need from the distribution: a browser for the web page, the Python libraries that the inherited
// example was written with, and what makes the disks whose power is cut.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { say, ScriptError } from './console.mjs';

// The distribution's own: another one, first on the PATH, does not see what apt installs.
const PYTHON = '/usr/bin/python3';

const NEEDED = [
  { package: 'chromium', isThere: () => existsSync('/usr/bin/chromium') && runs('/usr/bin/chromium', ['--version']) },
  { package: 'nginx-light', isThere: () => existsSync('/usr/sbin/nginx') },
  { package: 'python3-requests', isThere: () => runs(PYTHON, ['-c', 'import requests']) },
  { package: 'python3-websockets', isThere: () => runs(PYTHON, ['-c', 'import websockets']) },
  { package: 'e2fsprogs', isThere: () => existsSync('/usr/sbin/mkfs.ext4') || existsSync('/sbin/mkfs.ext4') },
];

/** Installs what is missing when this is root on Debian or Ubuntu; otherwise says what to install. */
export function ensureAptPackages() {
  const missing = findMissing();
  if (missing.length === 0) return;
  const names = missing.join(' ');
  if (process.getuid?.() !== 0 || !runs('apt-get', ['--version'])) {
    throw new ScriptError(`The tests need ${names}, which this machine has not`, `sudo apt-get install ${names}`);
  }
  say(`  installing ${names} with apt-get`);
  // Another apt may be at work for a while; without recommendations it is a third of the size.
  const options = ['-o', 'DPkg::Lock::Timeout=300', '-y', '--quiet', '--no-install-recommends'];
  apt(['-o', 'DPkg::Lock::Timeout=300', '--quiet', 'update']);
  const installed = apt([...options, 'install', ...missing]);
  if (installed && findMissing().length === 0) return;
  throw new ScriptError(
    `apt-get could not install ${findMissing().join(' ') || names} (see above)`,
    `Check the network and the disk, then try yourself: apt-get install ${names}`,
  );
}

function findMissing() {
  return NEEDED.filter(({ isThere }) => !isThere()).map((needed) => needed.package);
}

function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync('apt-get', args, { env, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}

function runs(command, args) {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 30_000 }).status === 0;
}
