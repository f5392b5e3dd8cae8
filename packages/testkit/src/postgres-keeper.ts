/**
 * The keeper of the PostgreSQL server that test files share (see shared-postgres.ts). Started with its
 * directory as the only argument; whoever comes second finds the lock taken and leaves.
 */
import { appendFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  endLeftoverServer,
  isSameProcessAlive,
  makeDirectoryForPostgres,
  POSTGRES_USER,
  startPostgres,
  tryLockFile,
  type ProcessIdentity,
  type RunningPostgres,
} from '@infrasignal/local-stack';

/** What a test process sends first. */
export interface KeeperRequest {
  /** The test runner, when there is one: the server stays while it lives. */
  runner: ProcessIdentity | null;
}

/** What the keeper answers as soon as the server is ready. */
export interface KeeperGreeting {
  port: number;
  user: string;
  password: string;
}

// Only on loopback and only while tests run: nothing worth a secret is in there.
const PASSWORD = 'test';

// Bridges the gap between two test files run one after the other by hand; longer would only leave a server about.
const IDLE_GRACE_MS = 1_000;
const CHECK_INTERVAL_MS = 200;

// Two test files at a time, each with a few processes and their pools.
const MAX_CONNECTIONS = '400';

async function main(directory: string): Promise<void> {
  const attempt = tryLockFile(join(directory, 'keeper.lock'));
  if ('heldBy' in attempt) return;
  const serverDirectory = join(directory, 'server');
  const dataDirectory = join(serverDirectory, 'data');
  const socketPath = join(directory, 'keeper.sock');
  await removeLeftovers(dataDirectory, socketPath);
  makeDirectoryForPostgres(serverDirectory);
  const server = await startPostgres({
    dataDirectory,
    password: PASSWORD,
    logPath: join(directory, 'postgres.log'),
    isDurable: false,
    settings: { max_connections: MAX_CONNECTIONS, shared_buffers: '64MB' },
  });
  await serveLeases(socketPath, server);
  // Nothing in there is needed any more: no time is spent on a checkpoint.
  await server.kill('SIGQUIT');
  await server.process.exited;
  rmSync(serverDirectory, { recursive: true, force: true });
  for (const name of ['postgres.log', 'keeper.log']) rmSync(join(directory, name), { force: true });
  attempt.lock.release();
}

/** A killed keeper leaves a server to its reaper; this waits for that one and clears its directory. */
async function removeLeftovers(dataDirectory: string, socketPath: string): Promise<void> {
  await endLeftoverServer(dataDirectory);
  rmSync(dataDirectory, { recursive: true, force: true });
  rmSync(socketPath, { force: true });
}

/** Resolves when nobody needs the server any more. */
function serveLeases(socketPath: string, postgres: RunningPostgres): Promise<void> {
  const leases = new Set<Socket>();
  const runners = new Map<number, ProcessIdentity>();
  const greeting: KeeperGreeting = { port: postgres.port, user: POSTGRES_USER, password: PASSWORD };
  const server = createServer((socket) => {
    leases.add(socket);
    let request = '';
    socket.on('data', (chunk) => {
      request += chunk.toString('utf8');
      if (!request.endsWith('\n')) return;
      const { runner } = JSON.parse(request) as KeeperRequest;
      if (runner !== null) runners.set(runner.pid, runner);
      socket.write(`${JSON.stringify(greeting)}\n`);
    });
    socket.on('error', () => undefined); // a killed test process; `close` follows
    socket.on('close', () => leases.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath);
    let idleSinceMs = performance.now();
    const timer = setInterval(() => {
      for (const [pid, runner] of runners) if (!isSameProcessAlive(runner)) runners.delete(pid);
      const isNeeded = (leases.size > 0 || runners.size > 0) && postgres.process.exitStatus === null;
      if (isNeeded) idleSinceMs = performance.now();
      if (performance.now() - idleSinceMs < IDLE_GRACE_MS && postgres.process.exitStatus === null) return;
      clearInterval(timer);
      for (const socket of leases) socket.destroy();
      server.close(() => {
        resolve();
      });
    }, CHECK_INTERVAL_MS);
  });
}

const directory = process.argv[2];
if (directory === undefined) throw new Error('The keeper needs its directory as argument');
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined); // leases decide, not a terminal
try {
  await main(directory);
} catch (error) {
  appendFileSync(join(directory, 'keeper.log'), `${error instanceof Error ? (error.stack ?? '') : String(error)}\n`);
  process.exitCode = 1;
}
