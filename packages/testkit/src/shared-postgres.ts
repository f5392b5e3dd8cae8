import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifyProcess, isLockHeld, PROJECT_ROOT, tryLockFile, waitFor } from '@infrasignal/local-stack';
import type { KeeperGreeting, KeeperRequest } from './postgres-keeper.ts';

/** The server that all test files of this clone share. */
export interface SharedPostgres {
  url(database: string): string;
}

// The first test file waits for initdb and the start, with other files competing for the processor.
const ACQUIRE_TIMEOUT_MS = 60_000;

const POLL_INTERVAL_MS = 50;

let shared: Promise<SharedPostgres> | undefined;

/**
 * The shared PostgreSQL server of this clone's test runs, started if no other test process has done so. A
 * detached keeper owns it. Every test process holds a connection to the keeper as its lease; the kernel closes
 * it however the process ends. The keeper ends the server and itself when the last lease is gone and the test
 * runner (tap), if there was one, has ended too.
 */
export function acquireSharedPostgres(directory = keeperDirectory()): Promise<SharedPostgres> {
  shared ??= acquire(directory);
  return shared;
}

/** Where the keeper's socket, lock and data are. Not below the clone, whose path may be private or too long. */
export function keeperDirectory(): string {
  const key = createHash('sha256').update(PROJECT_ROOT).digest('hex').slice(0, 12);
  return join('/tmp', `infrasignal-tests-${process.getuid?.() ?? 0}-${key}`);
}

async function acquire(directory: string): Promise<SharedPostgres> {
  mkdirSync(directory, { recursive: true });
  if (statSync(directory).uid !== process.getuid?.()) throw new Error(`${directory} belongs to somebody else`);
  chmodSync(directory, 0o711);
  const deadline = performance.now() + ACQUIRE_TIMEOUT_MS;
  for (;;) {
    const greeting = await requestLease(join(directory, 'keeper.sock'));
    if (greeting !== null) return toSharedPostgres(greeting);
    if (performance.now() > deadline) {
      throw new Error(`The shared test PostgreSQL did not start; see ${join(directory, 'keeper.log')}`);
    }
    await startKeeperIfMissing(directory);
    await sleep(POLL_INTERVAL_MS);
  }
}

/** One process at a time starts one keeper, and goes on only when that one holds its lock or has ended. */
async function startKeeperIfMissing(directory: string): Promise<void> {
  const keeperLock = join(directory, 'keeper.lock');
  if (isLockHeld(keeperLock)) return;
  const attempt = tryLockFile(join(directory, 'starter.lock'));
  if (!('lock' in attempt)) return;
  try {
    if (isLockHeld(keeperLock)) return;
    const keeper = startKeeper(directory);
    await waitFor(() => isLockHeld(keeperLock) || keeper.exitCode !== null || keeper.signalCode !== null, {
      timeoutMs: ACQUIRE_TIMEOUT_MS,
      description: 'the keeper of the shared test PostgreSQL to start',
    });
  } finally {
    attempt.lock.release();
  }
}

function toSharedPostgres(greeting: KeeperGreeting): SharedPostgres {
  return {
    url: (database) => `postgres://${greeting.user}:${greeting.password}@127.0.0.1:${greeting.port}/${database}`,
  };
}

/** The connection stays open, without keeping this process alive, until this process ends. */
function requestLease(socketPath: string): Promise<KeeperGreeting | null> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let text = '';
    socket.on('connect', () => {
      // tap runs each test file in a process of its own: the server stays for as long as tap itself does.
      const runner = process.env.TAP === '1' ? identifyProcess(process.ppid) : null;
      const request: KeeperRequest = { runner };
      socket.write(`${JSON.stringify(request)}\n`);
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      if (!text.endsWith('\n')) return;
      socket.unref();
      resolve(JSON.parse(text) as KeeperGreeting);
    });
    socket.on('error', () => {
      resolve(null);
    });
    socket.on('close', () => {
      resolve(null);
    });
  });
}

function startKeeper(directory: string): ChildProcess {
  const script = fileURLToPath(new URL('postgres-keeper.ts', import.meta.url));
  const args = ['--conditions=@infrasignal/source', '--import', 'tsx', script, directory];
  const child = spawn(process.execPath, args, {
    cwd: PROJECT_ROOT,
    detached: true,
    // Nothing of tap's own environment: the keeper is not a test.
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: 'ignore',
  });
  child.unref();
  return child;
}
