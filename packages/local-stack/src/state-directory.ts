import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Environment } from './environment.ts';
import { canAccess, type Account } from './postgres-account.ts';
import { errorCode, errorText, StackError } from './stack-error.ts';
import { isStateEntry, SHARED_STATE_DIRECTORY, statePaths, type StatePaths } from './state-paths.mjs';

/**
 * Creates the folders of the state directory. The directory itself may be passed through by everybody (the database
 * user must reach its own folder), what is secret lies in folders and files that only their owner may read.
 */
export function prepareStateDirectory(directory: string): StatePaths {
  const paths = statePaths(directory);
  refuseForeignDirectory(directory);
  try {
    mkdirSync(paths.directory, { recursive: true });
    chmodSync(paths.directory, 0o711);
    for (const path of [paths.run, paths.secrets, paths.logs, paths.nats]) {
      mkdirSync(path, { recursive: true });
      chmodSync(path, 0o700);
    }
    return paths;
  } catch (error) {
    throw unusableDirectory(directory, error);
  }
}

/** `--state /home/me` must not turn a home into a state directory, with other modes and a reset that removes it. */
function refuseForeignDirectory(directory: string): void {
  const foreign = existsSync(directory) ? readdirSync(directory).find((name) => !isStateEntry(name)) : undefined;
  if (foreign === undefined) return;
  throw new StackError(
    `${directory} holds other things than the state of infraSignal (for instance "${foreign}")`,
    'Name a folder that is empty or does not exist yet.',
  );
}

/** A secret that is made once, kept in a file of mode 600 and returned as base64url text. */
export function keepSecret(paths: StatePaths, name: string, byteCount: number): string {
  const file = join(paths.secrets, name);
  try {
    if (existsSync(file)) {
      chmodSync(file, 0o600);
      const value = readFileSync(file, 'utf8').trim();
      if (value !== '') return value;
    }
    const value = randomBytes(byteCount).toString('base64url');
    writeFileSync(file, `${value}\n`, { mode: 0o600 });
    return value;
  } catch (error) {
    throw unusableDirectory(file, error);
  }
}

/** @throws StackError when the disk that holds `path` has less than `minimumBytes` to spare. */
export function checkFreeSpace(path: string, minimumBytes: number): void {
  const { bavail, bsize } = statfsSync(path);
  const freeBytes = bavail * bsize;
  if (freeBytes >= minimumBytes) return;
  const megabytes = (bytes: number): number => Math.floor(bytes / 1_000_000);
  throw new StackError(
    `Only ${megabytes(freeBytes)} MB are free on the disk that holds ${path}`,
    `Free at least ${megabytes(minimumBytes)} MB: the database and the event log must never meet a full disk.`,
  );
}

/**
 * Where the database lies: where it was put the first time; else in the state directory; else, when its user cannot
 * pass through the folders above that, below /var/lib/infrasignal. The folder above it exists afterwards.
 *
 * @throws StackError when it was put into the state directory and can no longer be reached there.
 */
export function locateDatabase(paths: StatePaths, account: Account | undefined): string {
  const recorded = readRecordedLocation(paths);
  const isReachable = canAccess(account, paths.directory, 'x');
  if (recorded === paths.postgres && !isReachable && existsSync(paths.postgres)) {
    throw new StackError(
      `The database in ${paths.postgres} runs as the user "${account?.name ?? ''}", who may no longer enter the ` +
        'folders above it',
      'Give the folders above back their execute permission for others (`chmod o+x`), or start afresh with ' +
        '`npm run reset`.',
    );
  }
  const location =
    recorded !== null && isOurs(recorded, paths) ? recorded : isReachable ? paths.postgres : join(paths.external, 'postgres');
  try {
    if (location !== paths.postgres) {
      mkdirSync(dirname(location), { recursive: true });
      for (const directory of [SHARED_STATE_DIRECTORY, dirname(location)]) chmodSync(directory, 0o755);
      writeFileSync(ownerFile(location), `${paths.directory}\n`);
    }
    writeFileSync(paths.postgresLocation, `${location}\n`);
  } catch (error) {
    throw unusableDirectory(dirname(location), error);
  }
  return location;
}

/**
 * True for a database outside the state directory that belongs to it, also after the clone was moved. A clone that was
 * copied names the database of its original, which is not its own.
 */
function isOurs(location: string, paths: StatePaths): boolean {
  if (!location.startsWith(`${SHARED_STATE_DIRECTORY}/`) || !existsSync(location)) return false;
  const owner = readFileSync(ownerFile(location), 'utf8').trim();
  return owner === paths.directory || !existsSync(owner);
}

function ownerFile(location: string): string {
  return join(dirname(location), 'belongs-to');
}

function readRecordedLocation(paths: StatePaths): string | null {
  try {
    return readFileSync(paths.postgresLocation, 'utf8').trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw unusableDirectory(paths.postgresLocation, error);
  }
}

/** Leaves, for as long as the stack runs, what `npm run infrasignal` needs to find it. Nobody else may read it. */
export function writeOperatorEnvironment(paths: StatePaths, environment: Environment): void {
  rmSync(paths.operatorEnvironment, { force: true });
  writeFileSync(paths.operatorEnvironment, JSON.stringify(environment), { mode: 0o600 });
}

/** Removes what only matters while the stack runs. */
export function clearRunFiles(paths: StatePaths): void {
  rmSync(paths.ledger, { force: true });
  rmSync(paths.operatorEnvironment, { force: true });
}

function unusableDirectory(path: string, error: unknown): StackError {
  if (errorCode(error) === 'ENOSPC') {
    return new StackError(`No space left on the disk that holds ${path}`, 'Free at least 500 MB.', { cause: error });
  }
  return new StackError(
    `This user may not write to ${path}: ${errorText(error)}`,
    'If another user (root?) started infraSignal here before: start as that user, or let that user run ' +
      '`npm run reset`. If the folder is read-only, clone to one that is yours.',
    { cause: error },
  );
}
