import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { PROJECT_ROOT, startManagedProcess, waitFor } from '@infrasignal/local-stack';
import { createTestDirectory, type TestContext } from '@infrasignal/testkit';

// The servers are made and compiled from nothing, on a machine that may have other things to do.
const READY_TIMEOUT_MS = 90_000;

// Each part is given its own time to end in order; together they are far below this.
const STOP_TIMEOUT_MS = 60_000;

/** What the ready block begins with. */
const READY = /infraSignal is ready: (http:\S+)\//;

export interface NpmStart {
  /** What it names when it is ready. */
  readonly url: string;
  readonly stateDirectory: string;
  /** The last thousand lines that it said. */
  output(): string;
  /** As Ctrl-C does. Resolves with the exit code when everything has ended. */
  stop(): Promise<number | null>;
}

export interface NpmStartOptions {
  /** What the user has set in the environment. */
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
}

/** The same as {@link startNpm}, for tests that only need the URL. */
export async function runNpmStart(t: TestContext, env: Record<string, string> = {}): Promise<string> {
  return (await startNpm(t, { env })).url;
}

/**
 * Runs what `npm start` runs, with a state directory of the test's own, until the test is over.
 * @throws Error with everything it said when it ends instead, for instance because its port is taken
 */
export async function startNpm(t: TestContext, { env = {}, args = [] }: NpmStartOptions): Promise<NpmStart> {
  const stateDirectory = createTestDirectory(t, 'infrasignal-start-');
  chmodSync(stateDirectory, 0o711); // the database's user passes through
  const stack = await startManagedProcess({
    name: 'npm start',
    command: process.execPath,
    args: ['--conditions=@infrasignal/source', 'scripts/start.mjs', '--state', stateDirectory, ...args],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    cwd: PROJECT_ROOT,
    logPath: join(createTestDirectory(t), 'npm-start.log'),
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
  t.teardown(async () => {
    await stack.stop();
    // What it keeps outside its directory goes with it.
    spawnSync(process.execPath, ['scripts/reset.mjs', '--state', stateDirectory], { cwd: PROJECT_ROOT });
  });
  const output = (): string => stack.tail(1_000);
  const url = await waitFor(() => READY.exec(output())?.[1], {
    timeoutMs: READY_TIMEOUT_MS,
    description: 'npm start to be ready',
    abortIf: () => {
      if (stack.exitStatus !== null) throw new Error(`npm start ended with ${stack.exitStatus.code}:\n${stack.tail(40)}`);
    },
  });
  return { url, stateDirectory, output, stop: async () => (await stack.stop()).code };
}
