import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parsePort, readEnvironment, readPort, type Environment } from './environment.ts';
import { followLog } from './log-files.ts';
import { watchNpm } from './parent-watch.ts';
import { renderReadyBlock, resetCommand } from './ready-block.ts';
import { startStack, type RunningStack, type StackOptions } from './stack.ts';
import { errorText, StackError } from './stack-error.ts';
import { CLUSTER_STATE_DIRECTORY, DEFAULT_STATE_DIRECTORY, PROJECT_ROOT } from './state-paths.mjs';
import { TerminalReport } from './terminal-report.ts';

const HELP = `Starts infraSignal on this machine: PostgreSQL, nats-server, auth-service, notify-service, gateway.

  npm start                      http://localhost:8000
  npm start -- --port 8080       another port (or PORT in the environment or in .env)
  npm start -- --verbose         shows the logs of all parts
  npm start -- --cluster         three NATS servers and two of each service; state in .infrasignal-cluster
  npm start -- --state DIR       keeps the state in another folder than .infrasignal
  npm start -- --help

Settings come from the environment and from .env (the environment wins); docs/environment.md lists them.
Fixed inner ports, if you need them: POSTGRES_PORT, NATS_PORT, AUTH_SERVICE_PORT, NOTIFY_SERVICE_PORT.
NATS_SERVER_BIN names a nats-server to use. State survives a restart; \`npm run reset\` deletes it.`;

const DEFAULT_PORT = 8000;

// npm passes on the Ctrl-C that the terminal has already sent: two signals this close are one press.
const SAME_PRESS_MS = 1_000;

type Overrides = Partial<
  Pick<StackOptions, 'entries' | 'webRoot' | 'minimumFreeBytes' | 'restartTiming' | 'isDatabaseDurable'>
>;

/**
 * The whole command line: parses the arguments, starts the stack, waits for a signal, ends everything. Resolves with
 * the exit code: 0 after an orderly end, 1 after a failure, 2 for wrong arguments, 130 when interrupted at the start.
 */
export async function runStackCommand(
  args: readonly string[],
  environment: Environment,
  overrides: Overrides = {},
): Promise<number> {
  const report = new TerminalReport({ output: process.stdout, noColor: (environment.NO_COLOR ?? '') !== '' });
  process.stdout.on('error', () => undefined); // the terminal may close before the children are ended
  let settings: Settings;
  try {
    const parsed = parseArguments(args, environment);
    if (parsed === 'help') {
      report.print(HELP);
      return 0;
    }
    settings = parsed;
  } catch (error) {
    report.failure(error);
    return 2;
  }
  return await runUntilSignal(settings, report, overrides);
}

interface Settings {
  port: number;
  stateDirectory: string;
  isCluster: boolean;
  isVerbose: boolean;
  environment: Environment;
}

function parseArguments(args: readonly string[], realEnvironment: Environment): Settings | 'help' {
  const environment = readEnvironment(join(PROJECT_ROOT, '.env'), realEnvironment);
  const { values } = readFlags(args);
  if (values.help === true) return 'help';
  const isCluster = values.cluster === true;
  const defaultDirectory = isCluster ? CLUSTER_STATE_DIRECTORY : DEFAULT_STATE_DIRECTORY;
  return {
    environment,
    isVerbose: values.verbose === true,
    isCluster,
    stateDirectory: values.state === undefined ? defaultDirectory : resolve(values.state),
    port: values.port === undefined ? (readPort(environment, 'PORT') ?? DEFAULT_PORT) : parsePort(values.port, '--port'),
  };
}

function readFlags(args: readonly string[]): ReturnType<typeof parseFlags> {
  try {
    return parseFlags(args);
  } catch (error) {
    throw new StackError(errorText(error), '`npm start -- --help` shows the options.', { cause: error });
  }
}

function parseFlags(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      port: { type: 'string', short: 'p' },
      verbose: { type: 'boolean', short: 'v' },
      cluster: { type: 'boolean' },
      state: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

async function runUntilSignal(settings: Settings, report: TerminalReport, overrides: Overrides): Promise<number> {
  const { environment } = settings;
  const abort = new AbortController();
  const end = new EndOfRun(abort, report);
  const stopWatching = watchNpm(environment.npm_lifecycle_event !== undefined, () => {
    end.request('npm has gone');
  });
  try {
    report.print(report.paint('bold', 'Starting infraSignal on this machine'));
    const stack = await startStack({ ...settings, reporter: report, abortSignal: abort.signal, ...overrides });
    end.attach(stack);
    const stopFollowing = settings.isVerbose ? followAll(stack, report) : [];
    report.print('');
    for (const line of renderReadyBlock(stack, environment)) report.print(line);
    report.print('');
    const failure = await Promise.race([end.requested, stack.failed]);
    await stack.stop();
    for (const stop of stopFollowing) stop();
    if (failure instanceof StackError) {
      report.failure(failure);
      return 1;
    }
    const reset = resetCommand(settings.stateDirectory);
    report.print(`Everything has ended. The state is kept; \`${reset}\` deletes it.`);
    return 0;
  } catch (error) {
    if (abort.signal.aborted) {
      report.print('Interrupted before it was ready; everything has ended.');
      return 130;
    }
    report.failure(error);
    return 1;
  } finally {
    stopWatching();
    end.release();
  }
}

/** Turns signals into one request to end, and a third press of Ctrl-C into the end of patience. */
class EndOfRun {
  readonly requested: Promise<string>;
  readonly #abort: AbortController;
  readonly #report: TerminalReport;
  readonly #handlers = new Map<string, (argument: unknown) => void>();
  #resolve: (reason: string) => void = () => undefined;
  #stack: RunningStack | null = null;
  #pressCount = 0;
  #lastPressMs = -Infinity;

  constructor(abort: AbortController, report: TerminalReport) {
    this.#abort = abort;
    this.#report = report;
    this.requested = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      this.#listen(signal, () => {
        this.#press(signal);
      });
    }
    // A mistake in this process must not leave children without a supervisor.
    this.#listen('uncaughtException', (error) => {
      this.#report.failure(error);
      process.exitCode = 1;
      this.request('internal error');
    });
  }

  attach(stack: RunningStack): void {
    this.#stack = stack;
  }

  request(reason: string): void {
    if (this.#pressCount === 0) {
      this.#pressCount = 1;
      this.#report.print(`\nStopping (${reason})`);
    }
    this.#abort.abort(new Error(reason));
    this.#resolve(reason);
  }

  release(): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }

  #press(signal: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastPressMs < SAME_PRESS_MS) return;
    this.#lastPressMs = nowMs;
    if (this.#pressCount === 0) {
      this.request(signal);
      return;
    }
    this.#pressCount += 1;
    if (this.#pressCount === 2) this.#report.print('Still stopping; once more ends everything the hard way.');
    else void this.#stack?.kill();
  }

  #listen(name: string, handler: (argument: unknown) => void): void {
    this.#handlers.set(name, handler);
    process.on(name, handler);
  }
}

function followAll(stack: RunningStack, report: TerminalReport): (() => void)[] {
  return stack.logPaths.map((path) => {
    const name = basename(path, '.log');
    return followLog(path, (line) => {
      report.print(`${report.paint('dim', `${name} |`)} ${line}`);
    });
  });
}
