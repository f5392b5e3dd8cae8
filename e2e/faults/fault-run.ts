import {
  AccountApi,
  createTestDirectory,
  EventSocket,
  Ledger,
  startTestStack,
  timePhase,
  waitFor,
  type Account,
  type TestContext,
  type TestStack,
  type TestStackOptions,
} from '@infrasignal/testkit';
import { checkEvidence } from './checks/check-evidence.ts';
import {
  checkAllSucceeded,
  checkRecovery,
  RECOVERY_LIMIT_MS,
  toRecentEventsBytes,
  type ProcessHistory,
} from './checks/check-recovery.ts';
import type { Allowances, Counts, Violation } from './checks/evidence.ts';
import { Load, PASSWORD } from './load.ts';
import type { Random } from './random.ts';
import { keepDeletedEvents, takeSettledSnapshot } from './snapshot.ts';
import { Victim } from './victim.ts';

export interface FaultRunOptions {
  readonly random: Random;
  readonly progress: (line: string) => void;
  /** Users with sockets. Default 100. */
  readonly users?: number;
  readonly socketsPerUser?: number;
  /** Operations a second. Default 50; 0: none but those that the scenario makes itself. */
  readonly ratePerSecond?: number;
  readonly stack?: TestStackOptions;
  /** What is loaded into the services before anything else: to break them for a negative control, or to set their clocks. */
  readonly preload?: URL | readonly URL[];
  /** How long a recovery may take. Default {@link RECOVERY_LIMIT_MS}. */
  readonly recoveryLimitMs?: number;
  /** The end waits for so long while nothing more comes through. Shorter where it is known never to come. */
  readonly patienceMs?: number;
  /** Plays clients that are broken, for a negative control. */
  readonly chooseAfter?: (cursor: string | null) => string | null;
}

export interface FaultRunResult {
  readonly violations: readonly Violation[];
  readonly counts: Counts;
  /** From the end of a fault until everything was through, the longest of them; Infinity: not within the limit. */
  readonly recoveryMs: number;
  /** Every kind of fault that was injected, and how often: for instance `{ 'nats-server killed': 8 }`. */
  readonly faults: Readonly<Record<string, number>>;
  /** What else a scenario measured, in words. */
  readonly figures: readonly string[];
  readonly ledger: Ledger;
}

const USERS = 100;
const SOCKETS_PER_USER = 2;
const RATE_PER_SECOND = 50;

/** Clients of the feed of everything: with a cursor of their own kind. */
const FEED_SOCKETS = 2;

/** Registrations on the way at once while the scene is set. */
const SETUP_CONCURRENCY = 16;

/**
 * What was not through by then, from the end of the load or from when something last came through, is lost for the
 * checks; a late arrival is reported as slow, not as lost.
 */
const PATIENCE_MS = 20_000;

/** For each {@link CONNECTING_AT_ONCE} of the sockets. */
const CONNECT_TIMEOUT_MS = 20_000;

/** Handshakes on the way at once while the scene is set; more would wait in the kernel's queue and be sent again. */
const CONNECTING_AT_ONCE = 256;

/** Longer than any scenario: no client has to log in again, which would be an event of its own. */
const ACCESS_TOKEN_TTL_SECONDS = 900;

/**
 * A feed of everything that is away for 20 s misses the 1,000 events that a resume brings by default, and is told so.
 * How long it is away depends on how busy the machine is, so that the limit is no part of what is tested here.
 */
const WHOLE_RESUME = { RESUME_EVENTS_MAX: '100000' };

/** The system under load L, its clients, and the ledger of everything that happens. */
export class FaultRun {
  readonly ledger: Ledger;
  readonly api: AccountApi;
  readonly stack: TestStack;
  readonly accounts: Account[] = [];
  readonly sockets: EventSocket[] = [];
  readonly figures: string[] = [];
  /** Ids of events that the scenario puts into the outbox itself. */
  readonly writtenEventIds = new Set<string>();
  readonly auths: Victim[];
  readonly notifies: Victim[];
  /** The broker's servers: one, or the nodes of a cluster. */
  readonly brokers: Victim[];
  readonly #options: FaultRunOptions;
  /** Those that were done to no process: to a connection, a disk, a clock. */
  readonly #otherFaults: Record<string, number> = {};
  #load: Load | null = null;
  #firstUserIds: ReadonlySet<number> = new Set();
  #phoneNumbers = 0;
  /** Per fault that was waited for: how long it took, or what was missing when the time was up. */
  readonly #recoveries: (number | string)[] = [];

  private constructor(options: FaultRunOptions, stack: TestStack, probeDirectory: string) {
    this.#options = options;
    this.stack = stack;
    this.ledger = new Ledger();
    this.api = new AccountApi({ urls: stack.authUrls, ledger: this.ledger });
    this.auths = stack.auths.map((process, at) => new Victim(`auth-service ${at + 1}`, process, probeDirectory));
    this.notifies = stack.notifies.map((process, at) => new Victim(`notify-service ${at + 1}`, process, probeDirectory));
    const nodes = stack.nats.nodes ?? [stack.nats];
    this.brokers = nodes.map((node, at) => new Victim(`nats-server ${at + 1}`, node, null));
  }

  /** The broker, where it is one server. */
  get broker(): Victim {
    const [broker] = this.brokers;
    if (broker === undefined) throw new Error('there is no broker');
    return broker;
  }

  /** Everything is up, the users are registered, their sockets connected, nothing is under way. */
  static async set(t: TestContext, options: FaultRunOptions): Promise<FaultRun> {
    const probeDirectory = createTestDirectory(t, 'infrasignal-probe-');
    const preloads = [new URL('preloads/process-probe.mjs', import.meta.url), ...[options.preload ?? []].flat()];
    const probe = {
      NODE_OPTIONS: preloads.map(({ href }) => `--import ${href}`).join(' '),
      FAULT_PROBE_DIRECTORY: probeDirectory,
    };
    const stack = await timePhase('the stack starts', () =>
      startTestStack(t, {
        hasGateway: false,
        isWholeBuilt: true,
        random: options.random,
        ...options.stack,
        authEnv: { ...probe, ACCESS_TOKEN_TTL_SECONDS: String(ACCESS_TOKEN_TTL_SECONDS), ...options.stack?.authEnv },
        // The public feed is open on the sockets' side only: auth-service is as it is in production.
        notifyEnv: { ...probe, ...WHOLE_RESUME, DEBUG: 'true', ...options.stack?.notifyEnv },
      }),
    );
    await keepDeletedEvents(stack.database);
    const run = new FaultRun(options, stack, probeDirectory);
    t.teardown(() => {
      run.#close();
    });
    await timePhase('users and their sockets', async () => {
      await run.#registerUsers(options.users ?? USERS);
      await run.#connectSockets();
      await run.#waitUntilQuiet();
    });
    await timePhase('measured before', () => Promise.all(run.#victims.map((victim) => victim.measureBefore())));
    const rate = options.ratePerSecond ?? RATE_PER_SECOND;
    options.progress(`${run.accounts.length} users, ${run.sockets.length} sockets, ${rate} operations a second`);
    run.#startLoad(rate);
    return run;
  }

  get #victims(): Victim[] {
    return [...this.auths, ...this.notifies, ...this.brokers];
  }

  nextPhoneNumber(): string {
    this.#phoneNumbers += 1;
    return `+33612${String(this.#phoneNumbers).padStart(6, '0')}`;
  }

  /** For the report: a fault that is not the end or the stop of one of the processes, for instance `connection cut`. */
  countFault(name: string): void {
    this.#otherFaults[name] = (this.#otherFaults[name] ?? 0) + 1;
  }

  async register(): Promise<Account> {
    const account = await this.api.register(this.nextPhoneNumber(), PASSWORD);
    if (account === null) throw new Error(`a user could not be registered: ${this.ledger.operations.at(-1)?.note ?? ''}`);
    return account;
  }

  /** Ends the load; what is on the way is waited for. */
  async stopLoad(): Promise<void> {
    await this.#load?.stop();
    this.#load = null;
  }

  /** The fault is over: measures how long it takes until everything committed by now is marked and received. */
  async measureRecovery(): Promise<void> {
    const startedAt = performance.now();
    const { recoveryLimitMs = RECOVERY_LIMIT_MS } = this.#options;
    const target = await this.#readTarget();
    const backlog = await timePhase('recovery', () => this.#waitUntilThrough(target, { timeoutMs: recoveryLimitMs }));
    const tookMs = performance.now() - startedAt;
    this.#recoveries.push(backlog ?? tookMs);
    this.#options.progress(backlog === null ? `recovered after ${Math.round(tookMs)} ms` : `not recovered: ${backlog}`);
  }

  /** Milliseconds from `since` to the first notification that any client received after it. */
  firstNotificationMs(since: number): number | null {
    let first = Infinity;
    for (const { connections } of this.ledger.clients) {
      for (const { frames } of connections) {
        const after = frames.filter(({ at, body }) => at >= since && body.id !== undefined);
        first = Math.min(first, ...after.map(({ at }) => at));
      }
    }
    return first === Infinity ? null : first - since;
  }

  /**
   * Lets everything come to rest and judges the run.
   * @param isAuthUnharmed the fault was elsewhere: no request may have noticed it
   */
  async finish({ isAuthUnharmed = false, allowances = {} }: FinishOptions = {}): Promise<FaultRunResult> {
    await timePhase('the load ends', () => this.stopLoad());
    const { patienceMs = PATIENCE_MS, recoveryLimitMs: limitMs = RECOVERY_LIMIT_MS, progress } = this.#options;
    const target = await this.#readTarget();
    const backlog = await timePhase('everything comes through', () => this.#waitUntilThrough(target, { patienceMs }));
    if (backlog !== null) progress(`nothing more came through for ${patienceMs} ms: ${backlog}`);
    this.api.closeIdle();
    const processes = await timePhase('measured after', () => this.#readHistories());
    const { storedMeanwhile, ...snapshot } = await timePhase('tables and stream', () => takeSettledSnapshot(this.stack));
    if (storedMeanwhile > 0) this.figures.push(`${storedMeanwhile} events were published again after everything was through`);
    const { writtenEventIds } = this;
    const { violations, counts } = checkEvidence({ ...snapshot, ...this.#entries(), writtenEventIds }, allowances);
    const recovery = checkRecovery({ recoveries: this.#recoveries, limitMs, processes });
    const harmed = isAuthUnharmed ? checkAllSucceeded(this.ledger) : [];
    const times = this.#recoveries.map((recovery) => (typeof recovery === 'number' ? recovery : Infinity));
    return {
      violations: [...violations, ...recovery, ...harmed],
      counts,
      recoveryMs: Math.max(...times),
      faults: { ...nameFaults(processes), ...this.#otherFaults },
      figures: this.figures,
      ledger: this.ledger,
    };
  }

  async #readHistories(): Promise<ProcessHistory[]> {
    const services = { 'auth-service': this.auths, 'notify-service': this.notifies, 'nats-server': this.brokers };
    const { seqs } = await this.#readTarget();
    const recentBytes = toRecentEventsBytes([...seqs.values()].reduce((sum, seq) => sum + seq, 0));
    return Promise.all(
      Object.entries(services).map(([name, victims]) =>
        Victim.readHistory(name, victims, name === 'notify-service' ? recentBytes : 0),
      ),
    );
  }

  #entries(): Pick<Ledger, 'operations' | 'clients'> {
    const { operations, clients } = this.ledger;
    return { operations, clients };
  }

  #startLoad(ratePerSecond: number): void {
    if (ratePerSecond === 0) return;
    const { random } = this.#options;
    const nextPhoneNumber = (): string => this.nextPhoneNumber();
    this.#load = new Load({ api: this.api, random, accounts: this.accounts, ratePerSecond, nextPhoneNumber });
    this.#load.start();
  }

  async #registerUsers(count: number): Promise<void> {
    for (let left = count; left > 0; left -= SETUP_CONCURRENCY) {
      const batch = Array.from({ length: Math.min(left, SETUP_CONCURRENCY) }, () => this.register());
      this.accounts.push(...(await Promise.all(batch)));
    }
    this.#firstUserIds = new Set(this.accounts.map(({ userId }) => userId));
  }

  async #connectSockets(): Promise<void> {
    const { socketsPerUser = SOCKETS_PER_USER } = this.#options;
    for (const { userId, access } of this.accounts) {
      for (let at = 1; at <= socketsPerUser; at += 1) this.#addSocket(`user ${userId} socket ${at}`, userId, access);
    }
    for (let at = 1; at <= FEED_SOCKETS; at += 1) this.#addSocket(`feed ${at}`, null, null);
    for (let at = 0; at < this.sockets.length; at += CONNECTING_AT_ONCE) {
      const batch = this.sockets.slice(at, at + CONNECTING_AT_ONCE);
      for (const socket of batch) socket.start();
      await waitFor(() => batch.every(({ isConnected }) => isConnected), {
        timeoutMs: CONNECT_TIMEOUT_MS,
        description: `${batch.length} sockets to be connected`,
      });
    }
  }

  #addSocket(name: string, userId: number | null, access: string | null): void {
    const { random, chooseAfter } = this.#options;
    const record = this.ledger.addClient(name, userId);
    const urls = this.stack.notifyUrls;
    this.sockets.push(
      new EventSocket({ urls, access, record, random, ...(chooseAfter === undefined ? {} : { chooseAfter }) }),
    );
  }

  async #waitUntilQuiet(): Promise<void> {
    this.api.closeIdle();
    const backlog = await this.#waitUntilThrough(await this.#readTarget(), { patienceMs: PATIENCE_MS });
    if (backlog !== null) throw new Error(`the system did not come to rest before the first fault: ${backlog}`);
  }

  /** What is committed now. */
  async #readTarget(): Promise<Target> {
    const { database } = this.stack;
    const rows = await database.query<{ id: number; seq: number }>(
      'select id::float8 as id, event_seq::float8 as seq from users',
    );
    const [last] = await database.query<{ id: number }>('select coalesce(max(id), 0)::float8 as id from outbox');
    return { seqs: new Map(rows.map(({ id, seq }) => [id, seq])), lastRowId: last?.id ?? 0 };
  }

  /** @returns null when everything of the target is marked and received, else what was missing when the time was up */
  async #waitUntilThrough(target: Target, { timeoutMs = Infinity, patienceMs = Infinity }: Patience): Promise<string | null> {
    const startedAt = performance.now();
    let [fewest, changedAt] = [Infinity, startedAt];
    let backlog: Backlog = { missing: Infinity, text: 'not looked at' };
    const isOver = async (): Promise<boolean> => {
      backlog = await this.#findBacklog(target).catch(() => backlog); // the database may still be away
      const now = performance.now();
      if (backlog.missing < fewest) [fewest, changedAt] = [backlog.missing, now];
      return backlog.missing === 0 || now - startedAt >= timeoutMs || now - changedAt >= patienceMs;
    };
    await waitFor(isOver, { timeoutMs: Infinity });
    return backlog.missing === 0 ? null : backlog.text;
  }

  async #findBacklog({ seqs, lastRowId }: Target): Promise<Backlog> {
    const [row] = await this.stack.database.query<{ count: number }>(
      'select count(*)::int as count from outbox where published_at is null and id <= $1',
      [lastRowId],
    );
    const unpublished = row?.count ?? 0;
    const away = this.sockets.filter(({ isConnected }) => !isConnected).length;
    const behind = this.sockets.filter((socket) => this.#isBehind(socket, seqs)).length;
    const text = `${unpublished} rows unpublished, ${away} of ${this.sockets.length} sockets not connected, ${behind} behind`;
    return { missing: unpublished + away + behind, text };
  }

  #isBehind({ newestSeqs, record }: EventSocket, seqs: ReadonlyMap<number, number>): boolean {
    if (record.userId !== null) return (newestSeqs.get(record.userId) ?? 0) < (seqs.get(record.userId) ?? 0);
    // The feed was connected when the users with sockets had registered and done nothing else.
    return [...seqs].some(([id, seq]) => (newestSeqs.get(id) ?? Number(this.#firstUserIds.has(id))) < seq);
  }

  #close(): void {
    // Whoever is asked to end by a process that stands still, or waits for one, would do so until it is killed.
    for (const victim of this.#victims) void victim.resume();
    for (const socket of this.sockets) socket.stop();
    this.api.closeIdle();
    void this.stopLoad();
  }
}

/** For instance `nats-server killed`. */
function nameFaults(processes: readonly ProcessHistory[]): Record<string, number> {
  const entries = processes.flatMap(({ name, faults }) =>
    Object.entries(faults).map(([fault, count]): [string, number] => [`${name} ${fault}`, count]),
  );
  return Object.fromEntries(entries);
}

export interface FinishOptions {
  readonly isAuthUnharmed?: boolean;
  readonly allowances?: Allowances;
}

/** How long to wait in all, and for anything more. */
interface Patience {
  readonly timeoutMs?: number;
  readonly patienceMs?: number;
}

interface Backlog {
  /** Rows and sockets. */
  readonly missing: number;
  readonly text: string;
}

interface Target {
  /** The newest `seq` of each user. */
  readonly seqs: ReadonlyMap<number, number>;
  readonly lastRowId: number;
}
