import { findFreePort } from '@infrasignal/local-stack';
import { ROOMY_AUTH_LIMITS } from './auth-limits.ts';
import { ROOMY_NOTIFY_LIMITS } from './notify-limits.ts';
import { timePhase } from './phase-times.ts';
import type { ServiceBuild } from './service-build.ts';
import { LOOPBACK, startServiceProcess, type ServiceProcess } from './service-process.ts';
import { StackLinks, type LinkName } from './stack-links.ts';
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
  /** The services are built with the packages that they use, which starts them in half the time. Default false. */
  readonly isWholeBuilt?: boolean;
  /** True for figures: a PostgreSQL of its own that waits for the disk at each commit. Default false. */
  readonly isDatabaseDurable?: boolean;
  /** Starts another database or broker than the stack's own, for tests that do something to the server or its disk. */
  readonly createDatabase?: (t: TestContext) => Promise<TestDatabase>;
  readonly startNats?: (t: TestContext) => Promise<TestNats>;
  /**
   * Stands in front of all instances in the gateway's place; gives the one URL of clients. Instances of a service then
   * share a port, each on a loopback address of its own (127.0.0.2, .3, …), as containers do under one name.
   */
  readonly startEntrance?: (t: TestContext, services: StackServices) => Promise<string>;
  /** Between which parts a proxy stands that can get in between or be a bad network; none by default. */
  readonly links?: readonly LinkName[];
  /** For the choices of those proxies. */
  readonly random?: () => number;
}

export interface StackServices {
  readonly auths: readonly ServiceProcess[];
  readonly notifies: readonly ServiceProcess[];
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
  /** The proxies that were asked for with `links`. */
  readonly links: StackLinks;
  /** Where clients that go past the gateway reach each instance: through its link, if it has one. */
  readonly authUrls: readonly string[];
  readonly notifyUrls: readonly string[];
}

/** Hashes that cost next to nothing: what is tested here is not how hard they are to guess. */
const CHEAP_HASHES = { ARGON2_MEMORY_KIB: '256', ARGON2_ITERATIONS: '1' };

/** It starts beside auth-service and is ready after it, which may have to be built first on a machine that is busy. */
const NOTIFY_READY_TIMEOUT_MS = 90_000;

const SECRET_KEY = 'only for tests, and long enough: 0123456789';

/**
 * The whole system as real processes on random ports of 127.0.0.1: a database of the test's own, nats-server,
 * auth-service, notify-service and the gateway. Everything is ended with the test.
 */
export async function startTestStack(t: TestContext, options: TestStackOptions = {}): Promise<TestStack> {
  const { hasGateway = true, isDebug = false } = options;
  const { createDatabase = options.isDatabaseDurable === true ? createDurableDatabase : createTestDatabase } = options;
  const { startNats = startTestNats } = options;
  const [database, nats, gatewayPort] = await timePhase('database and broker start', () =>
    Promise.all([createDatabase(t), startNats(t), findFreePort()]),
  );
  const url = `http://localhost:${gatewayPort}`;
  const links = new StackLinks(t, options);
  const build: ServiceBuild = options.isWholeBuilt === true ? 'whole' : 'own';
  const nextAuthPlace = await choosePlaces(options);
  const startAuth = async (place = nextAuthPlace()): Promise<ServiceProcess> =>
    startServiceProcess(t, {
      ...place,
      entry: 'services/auth-service/src/server.ts',
      build,
      isKilledAtEnd: true,
      env: {
        ...CHEAP_HASHES,
        ...ROOMY_AUTH_LIMITS,
        DEBUG: String(isDebug),
        NATS_URL: await links.lead('authToBroker', nats.url),
        DATABASE_URL: await links.lead('authToDatabase', database.url),
        SECRET_KEY,
        ...(options.startEntrance === undefined ? {} : { ALLOWED_HOSTS: 'localhost,127.0.0.1,127.0.0.2' }),
        ...options.authEnv,
      },
    });
  // Known before it is there: those who ask it for its keys start beside it.
  const firstAuthPlace = { host: LOOPBACK, port: await findFreePort(), ...nextAuthPlace() };
  const jwksUrl = `http://${firstAuthPlace.host}:${firstAuthPlace.port}/.well-known/jwks.json`;
  const nextNotifyPlace = await choosePlaces(options);
  const startNotify = async (): Promise<ServiceProcess> =>
    startServiceProcess(t, {
      ...nextNotifyPlace(),
      entry: 'services/notify-service/src/server.ts',
      build,
      isKilledAtEnd: true,
      readyTimeoutMs: NOTIFY_READY_TIMEOUT_MS,
      env: {
        DEBUG: String(isDebug),
        NATS_URL: await links.lead('notifyToBroker', nats.url),
        JWKS_URL: await links.lead('notifyToAuth', jwksUrl),
        ALLOWED_ORIGINS: `${url},http://127.0.0.1:${gatewayPort}`,
        ...ROOMY_NOTIFY_LIMITS,
        ...options.notifyEnv,
      },
    });
  const [auths, notifies] = await timePhase('services start', () =>
    Promise.all([
      startMany(options.authInstances ?? 1, (at) => startAuth(at === 0 ? firstAuthPlace : undefined)),
      startMany(options.notifyInstances ?? 1, startNotify),
    ]),
  );
  const auth = first(auths);
  const notify = first(notifies);
  const gateway = hasGateway ? await startGatewayProcess(t, gatewayPort, auth, notify) : null;
  const authUrls = await links.leadEach('clientsToAuth', auths);
  const notifyUrls = await links.leadEach('clientsToNotify', notifies);
  const parts = { auths, notifies, auth, notify, gateway, database, nats };
  if (options.startEntrance !== undefined) {
    const entrance = await options.startEntrance(t, { auths, notifies });
    return { url: entrance, ...parts, links, authUrls: [entrance], notifyUrls: [entrance] };
  }
  return { url: gateway === null ? auth.url : url, ...parts, links, authUrls, notifyUrls };
}

/** Where each next instance of a service listens: anywhere, or beside the others on the same port. */
async function choosePlaces(options: TestStackOptions): Promise<() => { host?: string; port?: number }> {
  if (options.startEntrance === undefined) return () => ({});
  const port = await findFreePort();
  let last = 1;
  return () => ({ host: `127.0.0.${++last}`, port });
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

/** One after the other, in the order of the links that lead to them; a core is left for the other kind. */
async function startMany(count: number, start: (at: number) => Promise<ServiceProcess>): Promise<ServiceProcess[]> {
  const processes: ServiceProcess[] = [];
  while (processes.length < count) processes.push(await start(processes.length));
  return processes;
}

function first(processes: readonly ServiceProcess[]): ServiceProcess {
  const [process] = processes;
  if (process === undefined) throw new Error('a stack has at least one of each service');
  return process;
}
