import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  findFreePort,
  PROJECT_ROOT,
  startManagedProcess,
  waitFor,
  type ExitStatus,
  type ManagedProcess,
} from '@infrasignal/local-stack';
import { buildService, type ServiceBuild, type StandIns } from './service-build.ts';
import type { TestContext } from './test-context.ts';
import { createTestDirectory } from './test-directory.ts';

export interface ServiceProcessOptions {
  /** Entry file: a file URL, or a path from the root of the clone (`services/auth-service/src/server.ts`). */
  entry: string | URL;
  /** Built into one file first, which starts much sooner; for tests that start services often. By default its sources run. */
  build?: ServiceBuild;
  /** What stands in for sources in that file; none by default. */
  standIns?: StandIns;
  /**
   * True: the end of the test is SIGKILL, for what nobody looks at any more. By default it is asked to end, and gives back
   * what others would miss who use the same servers.
   */
  isKilledAtEnd?: boolean;
  /** The service's whole environment besides PATH, HOME, HOST and PORT. */
  env?: Record<string, string | undefined>;
  /** Default 127.0.0.1. */
  host?: string;
  /** Fixed port; a free one is chosen when absent and kept over restarts. */
  port?: number;
  /** Asked until it answers 200. Default `/readyz`. */
  readyPath?: string;
  readyTimeoutMs?: number;
  /** How long its orderly end may take before SIGKILL; by default as long as for any process. */
  stopTimeoutMs?: number;
}

export interface ServiceProcess {
  /** For instance `http://127.0.0.1:41234`; stays the same over restarts. */
  readonly url: string;
  readonly port: number;
  /** Process id of the present run. */
  readonly pid: number;
  /** Resolves when the present run has ended. */
  readonly exited: Promise<ExitStatus>;
  /** Everything the service has written, all runs. */
  logs(): string;
  /** SIGKILL by default. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGTERM, then waits for the end; resolves with how it ended. */
  stop(): Promise<ExitStatus>;
  /**
   * Ends the present run in order if it still runs, starts again on the same port and waits until it is ready.
   * @param env changes of its environment, which last
   * @param standIns what stands in for its sources from now on; as before when absent
   */
  restart(env?: Record<string, string | undefined>, standIns?: StandIns): Promise<void>;
}

export interface ServiceExit extends ExitStatus {
  logs: string;
}

export const LOOPBACK = '127.0.0.1';

// A service compiles its sources while it starts, next to everything else a test run does: some seconds of a core.
const READY_TIMEOUT_MS = 90_000;

const FROM_SOURCE = ['--conditions=@infrasignal/source', '--import', 'tsx'];

// A port that was free a moment ago may be taken by the time the service binds it.
const PORT_ATTEMPTS = 5;

/**
 * Runs a service as the real process it is in production and waits until it is ready. It is ended when the test
 * is over, also when the test process is killed.
 *
 * @throws Error with the service's log when it ends early or does not become ready.
 */
export async function startServiceProcess(t: TestContext, options: ServiceProcessOptions): Promise<ServiceProcess> {
  const logPath = join(createTestDirectory(t), `service-${randomBytes(3).toString('hex')}.log`);
  let { env = {}, standIns = {} } = options;
  let port = options.port ?? (await findFreePort());
  let child = await spawnService(options, env, port, logPath);
  t.teardown(() => (options.isKilledAtEnd === true ? child.kill() : child.stop()));
  for (let attempt = 1; ; attempt += 1) {
    try {
      await waitUntilReady(child, port, options);
      break;
    } catch (error) {
      const mayRetry = options.port === undefined && attempt < PORT_ATTEMPTS && child.tail().includes('EADDRINUSE');
      await child.kill();
      if (!mayRetry) throw error;
      port = await findFreePort();
      child = await spawnService(options, env, port, logPath);
    }
  }
  return {
    url: `http://${options.host ?? LOOPBACK}:${port}`,
    port,
    get pid() {
      return child.pid;
    },
    get exited() {
      return child.exited;
    },
    logs: () => readWholeLog(logPath),
    kill: (signal) => child.kill(signal),
    stop: () => child.stop(),
    restart: async (changes, newStandIns = standIns) => {
      await child.stop();
      env = { ...env, ...changes };
      standIns = newStandIns;
      child = await spawnService({ ...options, standIns }, env, port, logPath);
      await waitUntilReady(child, port, options);
    },
  };
}

/** Runs a service that is expected to end by itself, for instance because its configuration is wrong. */
export async function runServiceToExit(t: TestContext, options: ServiceProcessOptions): Promise<ServiceExit> {
  const logPath = join(createTestDirectory(t), 'service.log');
  const child = await spawnService(options, options.env ?? {}, options.port ?? (await findFreePort()), logPath);
  t.teardown(() => child.kill());
  const timeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
  await waitFor(() => child.exitStatus !== null, { timeoutMs, description: 'the service to end by itself' });
  const { code, signal } = await child.exited;
  return { code, signal, logs: readWholeLog(logPath) };
}

async function spawnService(
  options: ServiceProcessOptions,
  env: Record<string, string | undefined>,
  port: number,
  logPath: string,
): Promise<ManagedProcess> {
  const { entry, build, standIns, stopTimeoutMs } = options;
  const path = typeof entry === 'string' && !entry.startsWith('file:') ? resolve(PROJECT_ROOT, entry) : fileURLToPath(entry);
  return startManagedProcess({
    name: 'service',
    command: process.execPath,
    args: build === undefined ? [...FROM_SOURCE, path] : [await buildService(path, { build, standIns })],
    // Nothing of tap's own environment: the service runs as it does in production.
    env: { PATH: process.env.PATH, HOME: process.env.HOME, HOST: options.host ?? LOOPBACK, PORT: String(port), ...env },
    cwd: PROJECT_ROOT,
    logPath,
    ...(stopTimeoutMs === undefined ? {} : { stopTimeoutMs }),
  });
}

async function waitUntilReady(child: ManagedProcess, port: number, options: ServiceProcessOptions): Promise<void> {
  const { readyPath = '/readyz', readyTimeoutMs = READY_TIMEOUT_MS } = options;
  const url = `http://${options.host ?? LOOPBACK}:${port}${readyPath}`;
  const ask = async (): Promise<boolean> => {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    const body = await response.text();
    if (response.status !== 200) throw new Error(`${readyPath} answered ${response.status}: ${body.slice(0, 500)}`);
    return true;
  };
  const abortIf = (): void => {
    const status = child.exitStatus;
    if (status === null) return;
    throw new Error(`The service ended (code ${status.code}, signal ${status.signal}):\n${child.tail(60)}`);
  };
  try {
    await waitFor(ask, { timeoutMs: readyTimeoutMs, description: `${url} to answer 200`, abortIf });
  } catch (error) {
    if (child.exitStatus !== null) throw error;
    throw new Error(`${(error as Error).message}. Its log:\n${child.tail(60)}`, { cause: error });
  }
}

function readWholeLog(path: string): string {
  return readFileSync(path, 'utf8');
}
