import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectoryForPostgres, startPostgres, type RunningPostgres } from '@infrasignal/local-stack';
import type { TestContext } from './test-context.ts';
import { createTestDirectory } from './test-directory.ts';

export interface TestPostgresOptions {
  /** Server settings, for instance `{ max_connections: '20' }`. */
  settings?: Record<string, string>;
  /** True keeps fsync and its friends on, for tests about power cuts. Default false. */
  isDurable?: boolean;
  /** Where its data are, as a directory in it; one of its own when absent. The server's user must be able to get there. */
  parentDirectory?: string;
}

export interface TestPostgres {
  readonly port: number;
  readonly pid: number;
  readonly dataDirectory: string;
  /** Superuser's URL of one database (default `postgres`); stays the same over restarts. */
  url(database?: string): string;
  kill(signal?: NodeJS.Signals): Promise<void>;
  stop(): Promise<void>;
  /** Starts again on the same port and data; ends the present server in order first if it still runs. */
  restart(): Promise<void>;
  logs(): string;
}

/**
 * A PostgreSQL server of the test's own, for tests that kill or freeze it. It costs about a second; everything
 * else uses `createTestDatabase`, which shares one server over the whole test run.
 */
export async function startTestPostgres(t: TestContext, options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const directory = createTestDirectory(t, 'infrasignal-postgres-');
  chmodSync(directory, 0o711); // the database user passes through
  const parent = options.parentDirectory ?? join(directory, 'server');
  makeDirectoryForPostgres(parent);
  const start = (port?: number): Promise<RunningPostgres> =>
    startPostgres({
      dataDirectory: join(parent, 'data'),
      password: 'test',
      logPath: join(directory, 'postgres.log'),
      port,
      isDurable: options.isDurable ?? false,
      settings: { shared_buffers: '32MB', ...options.settings },
    });
  let server = await start();
  const { port } = server;
  t.teardown(async () => {
    await server.kill('SIGQUIT'); // nothing in there is needed any more: no time is spent on a checkpoint
    await server.stop();
  });
  return {
    port,
    dataDirectory: server.dataDirectory,
    get pid() {
      return server.pid;
    },
    url: (database) => server.url(database),
    kill: (signal) => server.kill(signal),
    stop: () => server.stop(),
    restart: async () => {
      await server.stop();
      server = await start(port);
    },
    logs: () => server.process.tail(1_000),
  };
}
