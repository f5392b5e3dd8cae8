import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startManagedProcess, type ManagedProcess } from './managed-process.ts';
import { findNatsBinary } from './nats-binary.ts';
import { findFreePort, isPortFreeSoon } from './ports.ts';
import { StackError } from './stack-error.ts';
import { waitFor } from './wait-for.ts';

/** A server's place among the servers that keep the streams together. */
export interface NatsClusterPlace {
  /** Unlike every other in the cluster, and the same over restarts: streams remember where their copies are. */
  serverName: string;
  /** TCP port on 127.0.0.1 where the others reach it. */
  routePort: number;
  /** Told to the others in place of it, where something stands in between. */
  advertisedPort?: number | undefined;
  /** Where all servers of the cluster are reached. */
  routePorts: readonly number[];
}

export interface StartNatsServerOptions {
  /** JetStream's files and the generated configuration; created when missing. */
  storeDirectory: string;
  /** TCP port on 127.0.0.1; a free one is chosen when absent. */
  port?: number | undefined;
  /** Port of the HTTP monitoring on 127.0.0.1; none when absent. */
  monitorPort?: number | undefined;
  /** Absent: a server for itself. */
  cluster?: NatsClusterPlace | undefined;
  /** Lines in nats-server's configuration language, put at the end of the file: they win. */
  extraConfig?: string | undefined;
  /** Default: `nats-server.log` in the store directory. */
  logPath?: string;
  /** Asks a start that is under way to give up. */
  abortSignal?: AbortSignal | undefined;
  /** Path of the binary; found (or fetched) when absent. */
  binary?: string | undefined;
}

export interface RunningNatsServer {
  /** For instance `nats://127.0.0.1:41234`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly storeDirectory: string;
  readonly process: ManagedProcess;
  /** Orderly end: clients are told, everything is on disk. */
  stop(): Promise<void>;
  /** Any signal at once, SIGKILL by default; the same store and port can be started again afterwards. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

// Recovery of a large store after a SIGKILL reads every block.
const READY_TIMEOUT_MS = 60_000;

// An orderly end flushes the store; it took 10 to 40 ms in trials.
const STOP_TIMEOUT_MS = 10_000;

// The monitoring answers from memory.
const MONITOR_TIMEOUT_MS = 1_000;

// After a SIGKILL another program's outgoing connection may sit on the port for a moment.
const PORT_TAKEN_TIMEOUT_MS = 5_000;

/**
 * Starts nats-server with JetStream on 127.0.0.1 and resolves when it greets a client. Starting it again with
 * the same store directory and port continues where it was, whatever ended it.
 *
 * @throws StackError with cause and cure: no binary, port taken, unusable store.
 */
export async function startNatsServer(options: StartNatsServerOptions): Promise<RunningNatsServer> {
  const binary = options.binary ?? (await findNatsBinary()).path;
  const { storeDirectory } = options;
  mkdirSync(storeDirectory, { recursive: true, mode: 0o700 });
  const configPath = join(storeDirectory, 'nats-server.conf');
  const startedAt = performance.now();
  for (;;) {
    const port = options.port ?? (await findFreePort());
    if (!(await isPortFreeSoon(port, PORT_TAKEN_TIMEOUT_MS))) throw portTaken(port);
    writeFileSync(configPath, renderConfig(options, port), { mode: 0o600 });
    const child = await startManagedProcess({
      name: 'nats-server',
      command: binary,
      args: ['-c', configPath],
      env: { HOME: storeDirectory, PATH: '/usr/bin:/bin' },
      cwd: storeDirectory,
      logPath: options.logPath ?? join(storeDirectory, 'nats-server.log'),
      stopTimeoutMs: STOP_TIMEOUT_MS,
    });
    try {
      await waitUntilReady(child, port, options.abortSignal);
      return toRunning(child, storeDirectory, port);
    } catch (error) {
      await child.kill('SIGKILL');
      const isPortTaken = child.tail().includes('address already in use');
      if (isPortTaken && performance.now() - startedAt < PORT_TAKEN_TIMEOUT_MS) continue;
      throw isPortTaken ? portTaken(port, error) : error;
    }
  }
}

function renderConfig(options: StartNatsServerOptions, port: number): string {
  const { storeDirectory, monitorPort, cluster, extraConfig } = options;
  return [
    '# Generated at every start: changes here are lost.',
    `server_name: ${cluster?.serverName ?? 'infrasignal'}`,
    'host: 127.0.0.1',
    `port: ${port}`,
    ...(monitorPort === undefined ? [] : [`http: ${JSON.stringify(`127.0.0.1:${monitorPort}`)}`]),
    // An event is below 8 KiB; a larger limit would only let a mistake fill the disk faster.
    'max_payload: 256KB',
    // A client that does not answer for 2 × 10 s is gone; the default of 2 min hides a frozen service.
    'ping_interval: "10s"',
    'ping_max: 2',
    'jetstream {',
    `  store_dir: ${JSON.stringify(storeDirectory)}`,
    // In a simulated power cut the default lost every acknowledged event, this one none.
    '  sync_interval: always',
    // Streams are on disk; memory is for consumers. The disk limit is there so that a runaway ends before the disk.
    '  max_memory_store: 64MB',
    '  max_file_store: 8GB',
    '}',
    ...(cluster === undefined ? [] : renderCluster(cluster)),
    extraConfig ?? '',
    '',
  ].join('\n');
}

function renderCluster({ routePort, routePorts, advertisedPort }: NatsClusterPlace): string[] {
  return [
    'cluster {',
    '  name: infrasignal',
    '  host: 127.0.0.1',
    `  port: ${routePort}`,
    ...(advertisedPort === undefined ? [] : [`  advertise: "127.0.0.1:${advertisedPort}"`]),
    `  routes: [${routePorts.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')}]`,
    '}',
  ];
}

/** What a server says of the group that decides where streams are made; its leader also names the others. */
interface MetaReport {
  readonly meta_cluster?: { readonly leader?: string; readonly replicas?: readonly { current: boolean; offline?: boolean }[] };
}

/**
 * Waits until the servers of a cluster have agreed on a leader and have caught up with it: before, they greet clients
 * and can neither make a stream nor store in one.
 * @param monitorPorts of all servers that are to be there
 */
export async function waitForNatsCluster(monitorPorts: readonly number[], abortSignal?: AbortSignal): Promise<void> {
  const ask = (port: number, path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(MONITOR_TIMEOUT_MS) });
  const isHealthy = async (port: number): Promise<boolean> => (await ask(port, '/healthz')).ok;
  // A leader that does not see all of them yet finds no place for three copies.
  const seesAll = async (port: number): Promise<boolean> => {
    const { meta_cluster: meta } = (await (await ask(port, '/jsz')).json()) as MetaReport;
    const seen = meta?.replicas?.filter(({ current, offline }) => current && offline !== true) ?? [];
    return seen.length === monitorPorts.length - 1;
  };
  const areAllHealthy = async (): Promise<boolean> => {
    if (!(await Promise.all(monitorPorts.map(isHealthy))).every(Boolean)) return false;
    return (await Promise.all(monitorPorts.map(seesAll))).some(Boolean);
  };
  await waitFor(areAllHealthy, {
    timeoutMs: READY_TIMEOUT_MS,
    intervalMs: 100,
    description: 'the servers of the NATS cluster to agree on a leader',
    abortIf: () => abortSignal?.throwIfAborted(),
  });
}

/** Resolves as soon as the server greets: by then JetStream has recovered its store. */
async function waitUntilReady(child: ManagedProcess, port: number, abortSignal?: AbortSignal): Promise<void> {
  const abortIf = (): void => {
    abortSignal?.throwIfAborted();
    if (child.exitStatus !== null) throw startFailure(child);
  };
  const description = 'nats-server to greet a client';
  await waitFor(() => greets(port), { timeoutMs: READY_TIMEOUT_MS, intervalMs: 10, description, abortIf });
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    const timer = setTimeout(() => socket.destroy(new Error('no greeting')), 1_000);
    let greeting = '';
    socket.on('data', (chunk) => {
      greeting += chunk.toString('latin1');
      if (!greeting.includes('\r\n')) return;
      socket.destroy();
      resolve(greeting.startsWith('INFO ') && greeting.includes('"jetstream":true'));
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error('closed without a greeting'));
    });
  });
}

function toRunning(child: ManagedProcess, storeDirectory: string, port: number): RunningNatsServer {
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    pid: child.pid,
    storeDirectory,
    process: child,
    stop: async () => void (await child.stop()),
    kill: (signal) => child.kill(signal),
  };
}

function startFailure(child: ManagedProcess): StackError {
  return new StackError(
    `nats-server ended while it was starting. Its last words (${child.logPath}):\n${child.tail(12)}`,
    'If the message does not help: `npm run reset` deletes the local data and starts afresh.',
  );
}

function portTaken(port: number, cause?: unknown): StackError {
  return new StackError(
    `Port ${port} for nats-server is taken by another program`,
    `Find it with \`ss -ltnp sport = :${port}\`, or choose another port.`,
    { cause },
  );
}
