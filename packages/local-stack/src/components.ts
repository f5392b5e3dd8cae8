import { existsSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { forServices, type Environment } from './environment.ts';
import { startManagedProcess, type ManagedProcess } from './managed-process.ts';
import { startNatsServer, type NatsClusterPlace } from './nats-server.ts';
import { startPostgres } from './postgres.ts';
import { StackError } from './stack-error.ts';
import { PROJECT_ROOT, type StatePaths } from './state-paths.mjs';
import type { Component } from './supervisor.ts';
import { waitFor } from './wait-for.ts';

/** Everything the components need to know of each other, fixed before the first one starts. */
export interface StackPlan {
  paths: StatePaths;
  /** The user's environment and `.env`. */
  environment: Environment;
  /** As TCP ports of 127.0.0.1; the same over every restart. Of what there are several, one for each. */
  ports: {
    postgres: number;
    nats: readonly NatsPorts[];
    auth: readonly number[];
    notify: readonly number[];
  };
  gatewayPort: number;
  databaseDirectory: string;
  databasePassword: string;
  secretKey: string;
  /** False in tests that start many stacks: nothing waits for the disk. */
  isDatabaseDurable: boolean;
  /** Entry files of the services. */
  entries: { auth: string; notify: string };
}

export interface NatsPorts {
  readonly client: number;
  /** For the other servers of the cluster, and to see how it is; null: a server for itself. */
  readonly cluster: { readonly route: number; readonly monitor: number } | null;
}

export const DATABASE_NAME = 'infrasignal';

// A service compiles its sources when it starts for the first time, next to everything else that starts.
const SERVICE_READY_TIMEOUT_MS = 60_000;

// The services' own grace for requests in flight is 20 s (SHUTDOWN_GRACE_SECONDS); one more for the rest.
const SERVICE_STOP_TIMEOUT_MS = 21_000;

export function logPathOf(paths: StatePaths, name: string): string {
  return join(paths.logs, `${name}.log`);
}

export function postgresComponent(plan: StackPlan, onLeftover: () => void): Component {
  return {
    name: 'postgres',
    marker: plan.databaseDirectory,
    start: async (abortSignal) => {
      const server = await startPostgres({
        dataDirectory: plan.databaseDirectory,
        password: plan.databasePassword,
        port: plan.ports.postgres,
        logPath: logPathOf(plan.paths, 'postgres'),
        isDurable: plan.isDatabaseDurable,
        abortSignal,
        onLeftover,
      });
      try {
        await ensureDatabase(server.url());
      } catch (error) {
        await server.stop();
        throw error;
      }
      return server.process;
    },
  };
}

/** `auth-service`; of several, `auth-service-1` and so on. */
export function nameOf(name: string, index: number, count: number): string {
  return count === 1 ? name : `${name}-${index + 1}`;
}

export function natsComponent(plan: StackPlan, binary: string, index: number): Component {
  const all = plan.ports.nats;
  const { client, cluster } = itemAt(all, index);
  const name = nameOf('nats-server', index, all.length);
  const storeDirectory = cluster === null ? plan.paths.nats : join(plan.paths.nats, `n${index + 1}`);
  return {
    name,
    marker: storeDirectory,
    start: async (abortSignal) => {
      const server = await startNatsServer({
        storeDirectory,
        port: client,
        monitorPort: cluster?.monitor,
        cluster: cluster === null ? undefined : toPlace(all, index, cluster.route),
        logPath: logPathOf(plan.paths, name),
        binary,
        abortSignal,
      });
      return server.process;
    },
  };
}

function toPlace(all: readonly NatsPorts[], index: number, routePort: number): NatsClusterPlace {
  const routePorts = all.flatMap(({ cluster }) => (cluster === null ? [] : [cluster.route]));
  return { serverName: `n${index + 1}`, routePort, routePorts };
}

/** One of a list that is known to be long enough. */
function itemAt<Item>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new RangeError(`there is no number ${index}`);
  return item;
}

export function authComponent(plan: StackPlan, index: number): Component {
  const name = nameOf('auth-service', index, plan.ports.auth.length);
  return serviceComponent(plan, name, plan.entries.auth, authEnvironment(plan, index));
}

/** What an auth-service of the stack is started with, and what the commands for its operators need. */
export function authEnvironment(plan: StackPlan, index: number): Environment {
  const { ports, databasePassword } = plan;
  const user = `infrasignal:${encodeURIComponent(databasePassword)}`;
  return {
    ...serviceEnvironment(plan, itemAt(ports.auth, index)),
    DATABASE_URL: `postgres://${user}@127.0.0.1:${ports.postgres}/${DATABASE_NAME}`,
    SECRET_KEY: plan.secretKey,
    // Node reads it before the service runs. With its default of four, two hashes at once are the most there can be,
    // whatever the machine; threads that nobody needs cost next to nothing.
    UV_THREADPOOL_SIZE: plan.environment.UV_THREADPOOL_SIZE ?? '64',
  };
}

export function notifyComponent(plan: StackPlan, index: number): Component {
  const { ports, gatewayPort } = plan;
  const name = nameOf('notify-service', index, ports.notify.length);
  return serviceComponent(plan, name, plan.entries.notify, {
    ...serviceEnvironment(plan, itemAt(ports.notify, index)),
    JWKS_URL: `http://127.0.0.1:${itemAt(ports.auth, index % ports.auth.length)}/.well-known/jwks.json`,
    ALLOWED_ORIGINS:
      plan.environment.ALLOWED_ORIGINS ??
      ['localhost', '127.0.0.1', '[::1]'].map((host) => `http://${host}:${gatewayPort}`).join(','),
    // It has no use for them, so it does not get them.
    DATABASE_URL: undefined,
    SECRET_KEY: undefined,
    SECRET_KEY_FALLBACKS: undefined,
  });
}

function serviceEnvironment({ environment, ports }: StackPlan, port: number): Environment {
  return {
    // The inherited public feed, which the old clients expect of a development server.
    DEBUG: 'true',
    ...forServices(environment),
    HOST: '127.0.0.1',
    PORT: String(port),
    NATS_URL: ports.nats.map(({ client }) => `nats://127.0.0.1:${client}`).join(','),
    ...(ports.nats.length > 1 ? { STREAM_REPLICAS: String(ports.nats.length) } : {}),
    // The gateway is the one hop in front; it replaces what clients claim.
    TRUST_PROXY: '1',
  };
}

function serviceComponent(plan: StackPlan, name: string, entry: string, env: Environment): Component {
  const port = Number(env.PORT);
  return {
    name,
    marker: entry,
    start: async (abortSignal) => {
      const child = await startManagedProcess({
        name,
        command: process.execPath,
        args: ['--conditions=@infrasignal/source', '--import', 'tsx', entry],
        env,
        cwd: PROJECT_ROOT,
        logPath: logPathOf(plan.paths, name),
        stopTimeoutMs: SERVICE_STOP_TIMEOUT_MS,
      });
      try {
        await waitUntilReady(child, port, abortSignal);
        return child;
      } catch (error) {
        await child.kill('SIGKILL');
        throw error;
      }
    },
  };
}

async function waitUntilReady(child: ManagedProcess, port: number, abortSignal: AbortSignal): Promise<void> {
  let lastAnswer = 'no answer';
  const ask = async (): Promise<boolean> => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_000) });
    lastAnswer = `${response.status} ${(await response.text()).slice(0, 300)}`;
    return response.status === 200;
  };
  const abortIf = (): void => {
    abortSignal.throwIfAborted();
    if (child.exitStatus !== null) throw serviceEnded(child);
  };
  try {
    await waitFor(ask, { timeoutMs: SERVICE_READY_TIMEOUT_MS, intervalMs: 50, abortIf });
  } catch (error) {
    if (error instanceof StackError || abortSignal.aborted) throw error;
    throw new StackError(
      `${child.name} did not become ready within ${SERVICE_READY_TIMEOUT_MS / 1000} s (/readyz: ${lastAnswer}). ` +
        `Its last words (${child.logPath}):\n${child.tail(12)}`,
      'The log may say what it waits for.',
      { cause: error },
    );
  }
}

function serviceEnded(child: ManagedProcess): StackError {
  const code = child.exitStatus?.code ?? child.exitStatus?.signal ?? '';
  return new StackError(
    `${child.name} ended while it was starting (${code}). Its last words (${child.logPath}):\n${child.tail(25)}`,
    'If a setting is named above: mend it in the environment or in .env; docs/environment.md lists them. If a package ' +
      'is missing: delete node_modules and start again.',
  );
}

async function ensureDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const found = await client.query('select 1 from pg_database where datname = $1', [DATABASE_NAME]);
    if (found.rowCount === 0) await client.query(`create database ${DATABASE_NAME}`);
  } finally {
    await client.end();
  }
}

/** @throws StackError naming the service when its entry file is not there. */
export function checkEntry(entry: string): void {
  if (existsSync(entry)) return;
  throw new StackError(`There is no ${entry}`, 'The clone is not complete: `git status` shows what is missing.');
}
