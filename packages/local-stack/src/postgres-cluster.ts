import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Account } from './postgres-account.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import {
  identifyProcess,
  isSameProcessAlive,
  readCommandLine,
  sendSignal,
  type ProcessIdentity,
} from './process-identity.mjs';
import { errorCode, errorText, StackError } from './stack-error.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

/** The database superuser's name; it exists only inside the local server. */
export const POSTGRES_USER = 'infrasignal';

export interface ClusterOptions {
  dataDirectory: string;
  binaries: PostgresBinaries;
  account: Account | undefined;
  password: string;
  /** False skips the flush to disk after initdb: for servers that live as long as a test. */
  isDurable: boolean;
}

/**
 * Creates the data directory if there is none yet. initdb works in a draft beside it that is renamed at the
 * end: an interrupted initdb leaves nothing that looks like a database.
 *
 * @throws StackError when the directory belongs to another major version or cannot be written.
 */
export async function ensureCluster(options: ClusterOptions): Promise<void> {
  const { dataDirectory } = options;
  const version = readClusterVersion(dataDirectory);
  if (version === null) {
    await createCluster(options);
  } else if (version !== options.binaries.majorVersion) {
    throw new StackError(
      `The database in ${dataDirectory} was made by PostgreSQL ${version}, but this is PostgreSQL ` +
        `${options.binaries.majorVersion}, which cannot read it`,
      'To start afresh: `npm run reset` (deletes the local data). To keep the data: dump it with the older version ' +
        'of this project (`pg_dump`), reset, and load the dump.',
    );
  }
}

/** The major version that wrote a data directory, or null when there is no database in it. */
export function readClusterVersion(dataDirectory: string): string | null {
  try {
    return readFileSync(join(dataDirectory, 'PG_VERSION'), 'utf8').trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw unreadableCluster(dataDirectory, error);
  }
}

/**
 * Ends what a killed parent has left running on this data directory: a whole server, or backends whose
 * postmaster is gone. Two servers on one directory would destroy it, so this is certain before the start.
 */
export async function endLeftoverServer(dataDirectory: string): Promise<'none' | 'ended'> {
  const pidFile = join(dataDirectory, 'postmaster.pid');
  const lockedBy = readPostmasterPid(pidFile, dataDirectory);
  if (lockedBy === null) return 'none';
  const postmaster = identifyProcess(lockedBy);
  const isOurs = postmaster !== null && worksOn(lockedBy, dataDirectory);
  if (isOurs) await endProcess(postmaster, POSTMASTER_STEPS, dataDirectory);
  const orphans = listBackendsIn(dataDirectory);
  for (const orphan of orphans) await endProcess(orphan, ORPHAN_STEPS, dataDirectory);
  // The server removes a lock of a dead process itself, but takes a stranger with that id for a rival.
  if (postmaster !== null && !isOurs) rmSync(pidFile, { force: true });
  return isOurs || orphans.length > 0 ? 'ended' : 'none';
}

type EndingSteps = readonly (readonly [NodeJS.Signals | null, number])[];

// SIGINT: disconnect clients and write a checkpoint. SIGQUIT: leave at once, the log is replayed at the start.
const POSTMASTER_STEPS: EndingSteps = [
  ['SIGINT', 20_000],
  ['SIGQUIT', 5_000],
];

// Backends leave by themselves when their postmaster is gone, unless they are in the middle of something.
const ORPHAN_STEPS: EndingSteps = [
  [null, 2_000],
  ['SIGQUIT', 5_000],
];

async function endProcess(target: ProcessIdentity, steps: EndingSteps, dataDirectory: string): Promise<void> {
  for (const [signal, timeoutMs] of steps) {
    if (signal !== null) sendSignal(target.pid, signal);
    sendSignal(target.pid, 'SIGCONT'); // a frozen process would not hear anything
    try {
      await waitFor(() => !isSameProcessAlive(target), { timeoutMs });
      return;
    } catch {
      // The next step is less polite.
    }
  }
  throw new StackError(
    `An earlier PostgreSQL (process ${target.pid}) still works on ${dataDirectory} and does not end`,
    `End it with \`kill -QUIT ${target.pid}\` and try again.`,
  );
}

function readPostmasterPid(pidFile: string, dataDirectory: string): number | null {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw unreadableCluster(dataDirectory, error);
  }
}

/** The server makes its data directory its working directory, and we start it with `-D` and that path. */
function worksOn(pid: number, dataDirectory: string): boolean {
  if (readCommandLine(pid)?.includes(`-D ${dataDirectory}`) === true) return true;
  return readWorkingDirectory(pid) === realpathSync(dataDirectory);
}

/** Every PostgreSQL process whose working directory is this one (Linux; elsewhere none is found). */
function listBackendsIn(directory: string): ProcessIdentity[] {
  if (process.platform !== 'linux') return [];
  const realDirectory = realpathSync(directory);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && readWorkingDirectory(pid) === realDirectory)
    .filter((pid) => readCommandLine(pid)?.includes('postgres') === true) // and not somebody's shell
    .map((pid) => identifyProcess(pid))
    .filter((identity) => identity !== null);
}

function readWorkingDirectory(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

async function createCluster(options: ClusterOptions): Promise<void> {
  const { dataDirectory, binaries, account } = options;
  const parent = dirname(dataDirectory);
  const workspace = join(parent, `.initdb-${process.pid}-${randomBytes(4).toString('hex')}`);
  const passwordFile = join(workspace, 'password');
  try {
    mkdirSync(parent, { recursive: true });
    mkdirSync(workspace, { mode: 0o700 });
    writeFileSync(passwordFile, `${options.password}\n`, { mode: 0o600 });
    if (account !== undefined) {
      chownSync(workspace, account.uid, account.gid);
      chownSync(passwordFile, account.uid, account.gid);
    }
    await run(binaries.initdb, initdbArguments(join(workspace, 'data'), passwordFile, options.isDurable), {
      cwd: workspace,
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    });
    if (existsSync(dataDirectory)) rmSync(dataDirectory, { recursive: true }); // empty: it has no PG_VERSION
    renameSync(join(workspace, 'data'), dataDirectory);
    chmodSync(dataDirectory, 0o700);
  } catch (error) {
    throw initdbFailure(dataDirectory, error);
  } finally {
    rmSync(workspace, { recursive: true, force: true });
  }
}

function initdbArguments(directory: string, passwordFile: string, isDurable: boolean): string[] {
  return [
    `--pgdata=${directory}`,
    `--username=${POSTGRES_USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The same order and case rules on every machine, whatever locales it has installed.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--data-checksums',
    ...(isDurable ? [] : ['--no-sync']),
  ];
}

function initdbFailure(dataDirectory: string, error: unknown): StackError {
  const code = errorCode(error);
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  const text = stderr === '' ? errorText(error) : stderr;
  if (code === 'ENOSPC' || text.includes('No space left on device')) {
    return new StackError(`No space left on the disk for the database in ${dataDirectory}`, 'Free at least 500 MB.', {
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM') return unreadableCluster(dataDirectory, error);
  return new StackError(
    `The database in ${dataDirectory} could not be created: ${text}`,
    'If the message does not help: `npm run reset` and start again.',
    { cause: error },
  );
}

function unreadableCluster(dataDirectory: string, error: unknown): StackError {
  return new StackError(
    `This user may not use the database directory ${dataDirectory}: ${errorText(error)}`,
    'It was probably made by another user, for instance by root. Start as that user again, or let that user run ' +
      '`npm run reset`.',
    { cause: error },
  );
}
