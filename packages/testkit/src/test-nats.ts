import { startNatsServer, type RunningNatsServer } from '@infrasignal/local-stack';
import type { TestContext } from './test-context.ts';
import { createTestDirectory } from './test-directory.ts';

export interface TestNatsOptions {
  /** Lines in nats-server's configuration language. */
  extraConfig?: string;
  /** Port of the HTTP monitoring; none when absent. */
  monitorPort?: number;
  /** Where its configuration, its log and (in `jetstream`) its data are; a directory of its own when absent. */
  storeDirectory?: string;
}

export interface TestNats {
  /** Stays the same over restarts; of a cluster, those of all its servers, comma-separated. */
  readonly url: string;
  readonly port: number;
  /** Process id of the present server. */
  readonly pid: number;
  readonly storeDirectory: string;
  /** SIGKILL by default; other signals (SIGSTOP, SIGCONT) go to the present server. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Orderly end. */
  stop(): Promise<void>;
  /** Starts again on the same port and store; ends the present server in order first if it still runs. */
  restart(): Promise<void>;
  /** What the present server has written to its log. */
  logs(): string;
  /** The servers, where this stands for a cluster of several. */
  readonly nodes?: readonly TestNats[];
}

/** A nats-server with JetStream of the test's own: random port, own store, gone when the test is over. */
export async function startTestNats(t: TestContext, options: TestNatsOptions = {}): Promise<TestNats> {
  const storeDirectory = options.storeDirectory ?? createTestDirectory(t, 'infrasignal-nats-');
  const start = (port?: number): Promise<RunningNatsServer> =>
    startNatsServer({
      storeDirectory,
      port,
      extraConfig: options.extraConfig,
      monitorPort: options.monitorPort,
    });
  let server = await start();
  const { port, url } = server;
  t.teardown(() => server.stop());
  return {
    url,
    port,
    storeDirectory,
    get pid() {
      return server.pid;
    },
    kill: (signal) => server.kill(signal),
    stop: () => server.stop(),
    restart: async () => {
      await server.stop();
      server = await start(port);
    },
    logs: () => server.process.tail(1_000),
  };
}
