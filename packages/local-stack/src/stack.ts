import { appendFileSync, chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  authComponent,
  authEnvironment,
  checkEntry,
  logPathOf,
  nameOf,
  natsComponent,
  notifyComponent,
  postgresComponent,
  type NatsPorts,
  type StackPlan,
} from './components.ts';
import { readPort, type Environment } from './environment.ts';
import { portForbidden, portTaken, startGateway, type RunningGateway } from './gateway.ts';
import { tryLockFile, type LockFile } from './lock-file.ts';
import { boundLogs, rotateLog } from './log-files.ts';
import type { ManagedProcess } from './managed-process.ts';
import { findNatsBinary } from './nats-binary.ts';
import { waitForNatsCluster } from './nats-server.ts';
import { checkPort, findFreePort } from './ports.ts';
import { resolvePostgresAccount } from './postgres-account.ts';
import { endLeftovers, writeLedger, type LedgerEntry } from './process-ledger.ts';
import { errorText, StackError } from './stack-error.ts';
import { checkFreeSpace, clearRunFiles, keepSecret, locateDatabase, prepareStateDirectory, writeOperatorEnvironment } from './state-directory.ts';
import { PROJECT_ROOT, type StatePaths } from './state-paths.mjs';
import { Supervisor, type Component, type SupervisorEvent, type SupervisorTiming } from './supervisor.ts';

/** What the stack tells while it works; see terminal-report.ts for what the terminal shows of it. */
export interface StackReporter {
  /** One step: shown when it begins, and with the time it took when it is done. */
  step<T>(title: string, work: () => Promise<T>, describe?: (result: T) => string): Promise<T>;
  note(line: string): void;
  warn(line: string): void;
  event(event: SupervisorEvent): void;
}

export interface StackOptions {
  port: number;
  stateDirectory: string;
  /** Three NATS servers and two instances of each service in place of one of each. Default false. */
  isCluster?: boolean;
  /** The real environment over `.env`. */
  environment: Environment;
  reporter: StackReporter;
  /** Asks a start that is under way to give up; everything started so far is ended again. */
  abortSignal: AbortSignal;
  /** Entry files; the services of this repository when absent. */
  entries?: { auth: string; notify: string };
  webRoot?: string;
  minimumFreeBytes?: number;
  restartTiming?: SupervisorTiming;
  /** Default true. */
  isDatabaseDurable?: boolean;
}

export interface StackPlace {
  readonly name: string;
  readonly address: string;
}

export interface RunningStack {
  readonly url: string;
  readonly paths: StatePaths;
  readonly databaseDirectory: string;
  readonly logPaths: readonly string[];
  /** Where each part listens, in the order of their start, for instance `nats-server-1` and `127.0.0.1:4222`. */
  readonly places: readonly StackPlace[];
  /** Resolves with the reason if the stack cannot go on; `stop` is still to be called. */
  readonly failed: Promise<StackError>;
  /** Ends everything in order: gateway, notify-service, auth-service, nats-server, PostgreSQL. */
  stop(): Promise<void>;
  /** Ends every child at once. */
  kill(): Promise<void>;
}

// The fewest that can lose one and go on; and the fewest between which something can be moved.
const CLUSTER_NATS_SERVERS = 3;
const CLUSTER_INSTANCES = 2;

// PostgreSQL and JetStream each write files of 16 MB and more ahead of need.
const MINIMUM_FREE_BYTES = 500_000_000;

// Long enough that guessing the key is hopeless; the services ask for 32 bytes.
const SECRET_BYTES = 48;
const PASSWORD_BYTES = 24;

/**
 * Starts PostgreSQL, nats-server, auth-service, notify-service and the gateway on this machine and keeps them
 * running. Either everything is ready when it resolves, or nothing is left running when it rejects.
 *
 * @throws StackError with cause and cure.
 */
export async function startStack(options: StackOptions): Promise<RunningStack> {
  const paths = prepareStateDirectory(options.stateDirectory);
  const lock = takeLock(paths);
  const stack = new Stack(options, paths, lock);
  try {
    await stack.start();
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

class Stack implements RunningStack {
  readonly paths: StatePaths;
  readonly failed: Promise<StackError>;
  logPaths: string[] = [];
  places: StackPlace[] = [];
  databaseDirectory = '';
  readonly #options: StackOptions;
  readonly #lock: LockFile;
  /** In the order of their start. */
  readonly #servers: Supervisor[] = [];
  readonly #services: Supervisor[] = [];
  readonly #ledger = new Map<string, LedgerEntry>();
  #gateway: RunningGateway | null = null;
  #endLogBounds: () => void = () => undefined;
  #stopped: Promise<void> | null = null;
  #fail: (error: StackError) => void = () => undefined;

  constructor(options: StackOptions, paths: StatePaths, lock: LockFile) {
    this.#options = options;
    this.#lock = lock;
    this.paths = paths;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  get url(): string {
    return this.#gateway?.url ?? '';
  }

  async start(): Promise<void> {
    const { reporter, port, abortSignal } = this.#options;
    await this.#checkMachine();
    const plan = await this.#makePlan();
    this.databaseDirectory = plan.databaseDirectory;
    this.places = listPlaces(plan);
    this.#prepareLogs();
    const onLeftover = (): void => {
      reporter.note('ended a PostgreSQL that an earlier run had left behind');
    };
    await inParallel([
      () => this.#startComponent('PostgreSQL', postgresComponent(plan, onLeftover), this.#servers),
      () => this.#startNats(plan),
    ]);
    await this.#startInstances('auth-service and migrations', plan.ports.auth, (index) => authComponent(plan, index));
    await this.#startInstances('notify-service', plan.ports.notify, (index) => notifyComponent(plan, index));
    abortSignal.throwIfAborted();
    writeOperatorEnvironment(this.paths, authEnvironment(plan, 0));
    this.#gateway = await reporter.step('gateway and web page', () =>
      startGateway({
        port,
        authUrl: plan.ports.auth.map(toUrl),
        notifyUrl: plan.ports.notify.map(toUrl),
        onTrouble: (line) => {
          appendFileSync(logPathOf(this.paths, 'gateway'), `${new Date().toISOString()} ${line}\n`);
        },
        ...(this.#options.webRoot === undefined ? {} : { webRoot: this.#options.webRoot }),
      }),
    );
    abortSignal.throwIfAborted();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  async kill(): Promise<void> {
    await Promise.all([...this.#services, ...this.#servers].map((supervisor) => supervisor.kill()));
  }

  async #stopInOrder(): Promise<void> {
    const { reporter } = this.#options;
    const stopEach = async (supervisors: readonly Supervisor[]): Promise<void> => {
      for (const supervisor of supervisors.toReversed()) {
        await reporter.step(`stopping ${supervisor.name}`, () => supervisor.stop());
      }
    };
    this.#gateway?.stopAccepting();
    await stopEach(this.#services);
    await this.#gateway?.close(); // clients have got their last answers and close frames by now
    await stopEach(this.#servers);
    this.#endLogBounds();
    clearRunFiles(this.paths);
    this.#lock.release();
  }

  async #startNats(plan: StackPlan): Promise<void> {
    const { reporter, abortSignal } = this.#options;
    const binary = await this.#findNatsServer();
    const { nats } = plan.ports;
    // One after the other: when all greet each other at the same moment, one of them now and then never hears of the leader
    // that the others choose (nats-server 2.10.27).
    for (const index of nats.keys()) {
      const component = natsComponent(plan, binary, index);
      await this.#startComponent(component.name, component, this.#servers);
    }
    const monitors = nats.flatMap(({ cluster }) => (cluster === null ? [] : [cluster.monitor]));
    if (monitors.length === 0) return;
    await reporter.step('NATS cluster', () => waitForNatsCluster(monitors, abortSignal));
  }

  /** One after the other: the first does what is to be done once. */
  async #startInstances(
    title: string,
    ports: readonly number[],
    make: (index: number) => Component,
  ): Promise<void> {
    for (const index of ports.keys()) {
      const component = make(index);
      await this.#startComponent(ports.length === 1 ? title : component.name, component, this.#services);
    }
  }

  /** Everything that can be known to be wrong before the first child is started. */
  async #checkMachine(): Promise<void> {
    const { port, minimumFreeBytes = MINIMUM_FREE_BYTES, reporter, entries } = this.#options;
    for (const entry of Object.values(entries ?? DEFAULT_ENTRIES)) checkEntry(entry);
    await ensurePortIsFree(port);
    checkFreeSpace(this.paths.directory, minimumFreeBytes);
    checkKindOfState(this.paths, this.#options.isCluster ?? false);
    const leftovers = await endLeftovers(this.paths.ledger);
    if (leftovers.length > 0) reporter.note(`ended what an earlier run had left behind: ${leftovers.join(', ')}`);
  }

  /** Resolves with the path of a binary; the first time that may mean a download. */
  async #findNatsServer(): Promise<string> {
    const { environment, reporter, abortSignal } = this.#options;
    const onProgress = (line: string): void => {
      reporter.note(line);
    };
    const binary = await reporter.step(
      'finding nats-server',
      () => findNatsBinary({ env: environment, onProgress, abortSignal }),
      ({ version, source }) => `found nats-server ${version} (${source})`,
    );
    if (binary.warning !== undefined) reporter.warn(binary.warning);
    return binary.path;
  }

  async #makePlan(): Promise<StackPlan> {
    const { environment, port, entries = DEFAULT_ENTRIES, minimumFreeBytes } = this.#options;
    const databaseDirectory = locateDatabase(this.paths, resolvePostgresAccount());
    if (!databaseDirectory.startsWith(this.paths.directory)) {
      checkFreeSpace(join(databaseDirectory, '..'), minimumFreeBytes ?? MINIMUM_FREE_BYTES);
    }
    const givenKey = environment.SECRET_KEY ?? '';
    return {
      paths: this.paths,
      environment,
      gatewayPort: port,
      databaseDirectory,
      databasePassword: keepSecret(this.paths, 'postgres-password', PASSWORD_BYTES),
      secretKey: givenKey === '' ? keepSecret(this.paths, 'secret-key', SECRET_BYTES) : givenKey,
      isDatabaseDurable: this.#options.isDatabaseDurable ?? true,
      entries,
      ports: await this.#choosePorts(),
    };
  }

  /** Ports that were asked for are those of the first of each. */
  async #choosePorts(): Promise<StackPlan['ports']> {
    const { environment, isCluster = false } = this.#options;
    const choose = async (name: string, count: number): Promise<number[]> => {
      const others = Array.from({ length: count - 1 }, () => findFreePort());
      return [readPort(environment, name) ?? (await findFreePort()), ...(await Promise.all(others))];
    };
    const instances = isCluster ? CLUSTER_INSTANCES : 1;
    const toNats = async (client: number): Promise<NatsPorts> => ({
      client,
      cluster: isCluster ? { route: await findFreePort(), monitor: await findFreePort() } : null,
    });
    const clients = await choose('NATS_PORT', isCluster ? CLUSTER_NATS_SERVERS : 1);
    return {
      postgres: readPort(environment, 'POSTGRES_PORT') ?? (await findFreePort()),
      nats: await Promise.all(clients.map(toNats)),
      auth: await choose('AUTH_SERVICE_PORT', instances),
      notify: await choose('NOTIFY_SERVICE_PORT', instances),
    };
  }

  #prepareLogs(): void {
    const names = [...this.places.map(({ name }) => name), 'gateway'];
    this.logPaths = names.map((name) => logPathOf(this.paths, name));
    for (const path of this.logPaths) rotateLog(path);
    this.#endLogBounds = boundLogs(this.logPaths);
  }

  async #startComponent(title: string, component: Component, list: Supervisor[]): Promise<void> {
    const { reporter, restartTiming, abortSignal } = this.#options;
    abortSignal.throwIfAborted();
    const supervisor = new Supervisor(component, {
      onEvent: (event) => {
        reporter.event(event);
        if (event.kind === 'gave-up') this.#fail(event.error);
      },
      onProcess: (child) => {
        this.#recordProcess(component, child);
      },
      ...(restartTiming === undefined ? {} : { timing: restartTiming }),
    });
    list.push(supervisor);
    const giveUp = (): void => void supervisor.stop();
    abortSignal.addEventListener('abort', giveUp, { once: true });
    try {
      await reporter.step(title, () => supervisor.start());
    } finally {
      abortSignal.removeEventListener('abort', giveUp);
    }
  }

  #recordProcess({ name, marker }: Component, child: ManagedProcess | null): void {
    if (child === null) {
      this.#ledger.delete(name);
    } else {
      const stopSignal = name === 'postgres' ? 'SIGINT' : 'SIGTERM';
      this.#ledger.set(name, { name, ...child.identity, marker, stopSignal });
    }
    writeLedger(this.paths.ledger, [...this.#ledger.values()]);
  }
}

function toUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
}

function listPlaces({ ports }: StackPlan): StackPlace[] {
  const listAll = (name: string, all: readonly number[]): StackPlace[] =>
    all.map((port, index) => ({ name: nameOf(name, index, all.length), address: `127.0.0.1:${port}` }));
  return [
    ...listAll('postgres', [ports.postgres]),
    ...listAll('nats-server', ports.nats.map(({ client }) => client)),
    ...listAll('auth-service', ports.auth),
    ...listAll('notify-service', ports.notify),
  ];
}

/** The events of one server are not found by three, nor the other way round; the accounts would have no past. */
function checkKindOfState({ directory, nats }: StatePaths, isCluster: boolean): void {
  const other = join(nats, isCluster ? 'jetstream' : 'n1');
  if (!existsSync(other)) return;
  const kind = isCluster ? 'a single NATS server' : 'a NATS cluster (--cluster)';
  throw new StackError(`${directory} holds the state of ${kind}`, 'Name another folder with --state, or reset this one.');
}

const DEFAULT_ENTRIES = {
  auth: join(PROJECT_ROOT, 'services/auth-service/src/server.ts'),
  notify: join(PROJECT_ROOT, 'services/notify-service/src/server.ts'),
};

function takeLock(paths: StatePaths): LockFile {
  const attempt = tryLockFile(paths.lock);
  if ('lock' in attempt) {
    chmodSync(paths.lock, 0o644);
    return attempt.lock;
  }
  throw new StackError(
    `infraSignal is already running from this folder (process ${attempt.heldBy.pid})`,
    `Use it, or end it: Ctrl-C in its terminal, or \`kill ${attempt.heldBy.pid}\`.`,
  );
}

async function ensurePortIsFree(port: number): Promise<void> {
  for (const host of ['127.0.0.1', '::1']) {
    const state = await checkPort(host, port);
    if (state === 'forbidden') throw portForbidden(port);
    if (state === 'taken') throw portTaken(port);
  }
}

/** Waits for all, also when one fails, so that nothing is still being started when the failure is reported. */
async function inParallel(works: readonly (() => Promise<void>)[]): Promise<void> {
  const results = await Promise.allSettled(works.map((work) => work()));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure === undefined) return;
  throw failure.reason instanceof Error ? failure.reason : new Error(errorText(failure.reason));
}
