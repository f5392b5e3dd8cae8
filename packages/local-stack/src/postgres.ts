import { chownSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import pg from 'pg';
import { findFreePort, isPortFreeSoon } from './ports.ts';
import { resolvePostgresAccount } from './postgres-account.ts';
import { findPostgresBinaries } from './postgres-binaries.ts';
import { endLeftoverServer, ensureCluster, POSTGRES_USER } from './postgres-cluster.ts';
import { startManagedProcess, type ManagedProcess } from './managed-process.ts';
import { StackError } from './stack-error.ts';
import { waitFor } from './wait-for.ts';

export interface StartPostgresOptions {
  /** Created (with initdb) when it does not exist. Its parent must be reachable by the database user. */
  dataDirectory: string;
  /** Password of the superuser `infrasignal`; only used when the directory is created, and to connect. */
  password: string;
  /** TCP port on 127.0.0.1; a free one is chosen when absent. */
  port?: number | undefined;
  logPath: string;
  /** Server settings that win over the defaults, for instance `{ max_connections: '300' }`. */
  settings?: Record<string, string>;
  /** False makes everything faster and nothing safe: for servers that live as long as a test. Default true. */
  isDurable?: boolean;
  /** Asks a start that is under way to give up. */
  abortSignal?: AbortSignal | undefined;
  /** Called once if a server that an earlier run left behind had to be ended first. */
  onLeftover?: () => void;
}

export interface RunningPostgres {
  readonly port: number;
  readonly pid: number;
  readonly dataDirectory: string;
  readonly process: ManagedProcess;
  /** Connection URL of the superuser for one database (default `postgres`). */
  url(database?: string): string;
  /** Fast shutdown: open transactions are rolled back, everything is on disk. */
  stop(): Promise<void>;
  /** Any signal at once, SIGKILL by default; the same data directory can be started again afterwards. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

// Crash recovery after a SIGKILL replays the log; it may take a while on a slow disk.
const READY_TIMEOUT_MS = 60_000;

// A fast shutdown writes a checkpoint; on a slow disk that takes seconds, more means something is wrong.
const STOP_TIMEOUT_MS = 20_000;

// After a SIGKILL another program's outgoing connection may sit on the port for a moment.
const PORT_TAKEN_TIMEOUT_MS = 5_000;

// A port that was free a moment ago may be taken by the time the server binds it.
const PORT_ATTEMPTS = 5;

// Survives the end of the process (commits reach the kernel), not the end of the machine.
const FAST_AND_UNSAFE: Record<string, string> = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  autovacuum: 'off',
};

/**
 * Starts PostgreSQL on a data directory, creating it first if need be, and resolves when it answers a query.
 * As root it runs as the user `postgres`. A server left behind by a killed parent is ended first.
 *
 * @throws StackError with cause and cure: other major version, no rights, no space, port taken.
 */
export async function startPostgres(options: StartPostgresOptions): Promise<RunningPostgres> {
  const { dataDirectory, password } = options;
  const account = resolvePostgresAccount();
  const binaries = await findPostgresBinaries(account);
  const isDurable = options.isDurable ?? true;
  await ensureCluster({ dataDirectory, binaries, account, password, isDurable });
  if ((await endLeftoverServer(dataDirectory)) === 'ended') options.onLeftover?.();
  mkdirSync(dirname(options.logPath), { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    options.abortSignal?.throwIfAborted();
    const port = options.port ?? (await findFreePort());
    if (!(await isPortFreeSoon(port, PORT_TAKEN_TIMEOUT_MS))) throw portTaken(port);
    const child = await startManagedProcess({
      name: 'postgres',
      command: binaries.postgres,
      args: serverArguments(options, port, isDurable),
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin', TZ: 'UTC' },
      cwd: '/',
      logPath: options.logPath,
      account,
      stopSignal: 'SIGINT',
      stopTimeoutMs: STOP_TIMEOUT_MS,
    });
    const url = (database = 'postgres'): string => connectionUrl(password, port, database);
    try {
      await waitUntilReady(child, url(), options.abortSignal);
    } catch (error) {
      await child.stop();
      const isPortTaken = child.tail().includes('could not bind');
      if (isPortTaken && options.port === undefined && attempt < PORT_ATTEMPTS) continue;
      throw isPortTaken ? portTaken(port, error) : error;
    }
    return {
      port,
      pid: child.pid,
      dataDirectory,
      process: child,
      url,
      stop: async () => void (await child.stop()),
      kill: (signal) => child.kill(signal),
    };
  }
}

function connectionUrl(password: string, port: number, database: string): string {
  return `postgres://${POSTGRES_USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
}

function serverArguments(options: StartPostgresOptions, port: number, isDurable: boolean): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // No socket file: its path would be too long below a deep clone, and nobody needs it.
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    logging_collector: 'off',
    ...(isDurable ? {} : FAST_AND_UNSAFE),
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', options.dataDirectory, ...flags];
}

async function waitUntilReady(child: ManagedProcess, url: string, abortSignal?: AbortSignal): Promise<void> {
  const outcome = await waitFor(() => tryQuery(url), {
    timeoutMs: READY_TIMEOUT_MS,
    description: 'PostgreSQL to answer a query',
    abortIf: () => {
      abortSignal?.throwIfAborted();
      if (child.exitStatus !== null) throw startFailure(child);
    },
  });
  if (outcome === 'wrong password') throw wrongPassword();
}

async function tryQuery(url: string): Promise<'ready' | 'wrong password' | false> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined); // the server may go away between two lines
  try {
    await client.connect();
    await client.query('select 1');
    return 'ready';
  } catch (error) {
    // The server is up but knows another password (28P01): waiting does not help.
    return error instanceof pg.DatabaseError && error.code === '28P01' ? 'wrong password' : false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function startFailure(child: ManagedProcess): StackError {
  return new StackError(
    `PostgreSQL ended while it was starting. Its last words (${child.logPath}):\n${child.tail(12)}`,
    'If the message does not help: `npm run reset` deletes the local data and starts afresh.',
  );
}

function wrongPassword(): StackError {
  return new StackError(
    'PostgreSQL runs, but refuses the password kept for it: password and database do not belong together',
    'Put the old password file back, or start afresh with `npm run reset`.',
  );
}

function portTaken(port: number, cause?: unknown): StackError {
  return new StackError(
    `Port ${port} for PostgreSQL is taken by another program`,
    `Find it with \`ss -ltnp sport = :${port}\`, or choose another port.`,
    { cause },
  );
}

/** Makes a directory that the database user may use. */
export function makeDirectoryForPostgres(path: string): void {
  const account = resolvePostgresAccount();
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (account !== undefined) chownSync(path, account.uid, account.gid);
}
