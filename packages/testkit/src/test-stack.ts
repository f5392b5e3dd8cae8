import { findFreePort } from '@infrasignal/local-stack';
import { ROOMY_AUTH_LIMITS } from './auth-limits.ts';
import { ROOMY_NOTIFY_LIMITS } from './notify-limits.ts';
import { startServiceProcess, type ServiceProcess } from './service-process.ts';
import type { TestContext } from './test-context.ts';
import { createDurableDatabase, createTestDatabase, type TestDatabase } from './test-database.ts';
import { startTestNats, type TestNats } from './test-nats.ts';

export interface TestStackOptions {
  /** How many of each; 1 by default. The gateway speaks to the first. */
  readonly authInstances?: number;
  readonly notifyInstances?: number;
  /** False leaves the gateway out, then `url` is the first auth-service's. Default true. */
  readonly hasGateway?: boolean;
  /** `DEBUG` of both services: the public feed and weak passwords. Default false. */
  readonly isDebug?: boolean;
  /** Added to the services' environment. */
  readonly authEnv?: Record<string, string>;
  readonly notifyEnv?: Record<string, string>;
  /** True for figures: a PostgreSQL of its own that waits for the disk at each commit. Default false. */
  readonly isDatabaseDurable?: boolean;
  /** Stands between auth-service and its database: gets the real URL, returns the one to use. */
  readonly interposeDatabase?: (databaseUrl: string) => Promise<string>;
}

export interface TestStack {
  /** The one origin of clients: `http://localhost:<port>`. */
  readonly url: string;
  readonly auths: readonly ServiceProcess[];
  readonly notifies: readonly ServiceProcess[];
  readonly auth: ServiceProcess;
  readonly notify: ServiceProcess;
  readonly gateway: ServiceProcess | null;
  readonly database: TestDatabase;
  readonly nats: TestNats;
}

/** Hashes that cost next to nothing: what is tested here is not how hard they are to guess. */
const CHEAP_HASHES = { ARGON2_MEMORY_KIB: '256', ARGON2_ITERATIONS: '1' };

const SECRET_KEY = 'only for tests, and long enough: 0123456789';

/**
 * The whole system as real processes on random ports of 127.0.0.1: a database of the test's own, nats-server,
 * auth-service, notify-service and the gateway. Everything is ended with the test.
 */
export async function startTestStack(t: TestContext, options: TestStackOptions = {}): Promise<TestStack> {
  const { hasGateway = true, isDebug = false } = options;
  const createDatabase = options.isDatabaseDurable === true ? createDurableDatabase : createTestDatabase;
  const [database, nats, gatewayPort] = await Promise.all([createDatabase(t), startTestNats(t), findFreePort()]);
  const url = `http://localhost:${gatewayPort}`;
  const databaseUrl = (await options.interposeDatabase?.(database.url)) ?? database.url;
  const common = { NATS_URL: nats.url, DEBUG: String(isDebug) };
  const startAuth = (): Promise<ServiceProcess> =>
    startServiceProcess(t, {
      entry: 'services/auth-service/src/server.ts',
      env: {
        ...common,
        ...CHEAP_HASHES,
        ...ROOMY_AUTH_LIMITS,
        DATABASE_URL: databaseUrl,
        SECRET_KEY,
        ...options.authEnv,
      },
    });
  const auths = await startMany(options.authInstances ?? 1, startAuth);
  const auth = first(auths);
  const startNotify = (): Promise<ServiceProcess> =>
    startServiceProcess(t, {
      entry: 'services/notify-service/src/server.ts',
      env: {
        ...common,
        JWKS_URL: `${auth.url}/.well-known/jwks.json`,
        ALLOWED_ORIGINS: `${url},http://127.0.0.1:${gatewayPort}`,
        ...ROOMY_NOTIFY_LIMITS,
        ...options.notifyEnv,
      },
    });
  const notifies = await startMany(options.notifyInstances ?? 1, startNotify);
  const notify = first(notifies);
  const gateway = hasGateway ? await startGatewayProcess(t, gatewayPort, auth, notify) : null;
  return { url: gateway === null ? auth.url : url, auths, notifies, auth, notify, gateway, database, nats };
}

function startGatewayProcess(
  t: TestContext,
  port: number,
  auth: ServiceProcess,
  notify: ServiceProcess,
): Promise<ServiceProcess> {
  return startServiceProcess(t, {
    entry: new URL('gateway-process.ts', import.meta.url),
    env: { AUTH_URL: auth.url, NOTIFY_URL: notify.url },
    port,
    // Through to auth-service: the gateway itself has nothing to say.
    readyPath: '/.well-known/jwks.json',
  });
}

/** One after the other: on two cores they would only wait for each other's compilation. */
async function startMany(count: number, start: () => Promise<ServiceProcess>): Promise<ServiceProcess[]> {
  const processes: ServiceProcess[] = [];
  while (processes.length < count) processes.push(await start());
  return processes;
}

function first(processes: readonly ServiceProcess[]): ServiceProcess {
  const [process] = processes;
  if (process === undefined) throw new Error('a stack has at least one of each service');
  return process;
}
