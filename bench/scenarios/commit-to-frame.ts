import {
  AccountApi,
  EventSocket,
  Ledger,
  nowMs,
  waitFor,
  type Account,
  type Operation,
  type TestStack,
} from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers } from '../server-watch.ts';
import { percentile } from '../statistics.ts';
import { tabulateMilliseconds, toColumns, type Table } from '../table.ts';

const SECONDS_DEFAULT = 20;
const RATE_DEFAULT = 100;
const SOCKETS_DEFAULT = 1_000;

/** From the commit of a login to the frame on its user's socket, in milliseconds. */
const P50_MS_MAX = 5;
const P99_MS_MAX = 25;

const PASSWORD = 'correct horse battery staple';

/** Not measured: pools fill, code is compiled, the first leader has been found. */
const WARM_UP_SECONDS = 3;

const SETUP_CONCURRENCY = 8;

/** A frame that has not come this long after the last answer never will: it is counted as lost. */
const FRAMES_TIMEOUT_MS = 10_000;

interface Scene extends BenchStack {
  readonly ledger: Ledger;
  readonly api: AccountApi;
  readonly accounts: readonly Account[];
  /** Of each notification, by event id. */
  readonly received: Map<string, Reception>;
}

interface Reception {
  readonly firstAt: number;
  count: number;
  /** True once a socket of somebody else has seen it. */
  isForeign: boolean;
}

interface EventRow extends Record<string, unknown> {
  readonly id: string;
  readonly userId: number;
  /** Milliseconds since 1970, with microseconds. */
  readonly committedAt: number;
}

async function setScene(context: BenchContext, socketCount: number): Promise<Scene> {
  const { t, options, progress } = context;
  const { isThroughGateway } = options;
  // No hash lies between a commit and its frame; those of a hundred logins a second fill more than a core.
  const bench = await startBenchStack(context, { hashes: 'cheap', isThroughGateway });
  const ledger = new Ledger();
  const api = new AccountApi({ urls: bench.authUrls, ledger });
  t.teardown(() => {
    api.closeIdle();
  });
  const accounts = await registerAll(api, ledger, socketCount);
  const received = new Map<string, Reception>();
  const sockets = accounts.map(({ userId, access }) => {
    const record = ledger.addClient(`user ${userId}`, userId);
    const onNotification = (frame: Readonly<Record<string, unknown>>, at: number): void => {
      const reception = received.get(String(frame.id)) ?? { firstAt: at, count: 0, isForeign: false };
      reception.count += 1;
      reception.isForeign ||= frame.user_id !== userId;
      received.set(String(frame.id), reception);
    };
    return new EventSocket({ urls: [bench.notifyUrl], access, record, onNotification });
  });
  t.teardown(() => {
    for (const socket of sockets) socket.stop();
  });
  for (const socket of sockets) socket.start();
  await waitFor(() => sockets.every(({ isConnected }) => isConnected), { description: 'all sockets to be connected' });
  progress(`${sockets.length} sockets connected`);
  return { ...bench, ledger, api, accounts, received };
}

async function registerAll(api: AccountApi, ledger: Ledger, count: number): Promise<Account[]> {
  const accounts: Account[] = [];
  const register = async (at: number): Promise<void> => {
    const account = await api.register(`+33612${String(at).padStart(6, '0')}`, PASSWORD);
    if (account === null) throw new Error(`a user could not be registered: ${ledger.operations.at(-1)?.note ?? ''}`);
    accounts.push(account);
  };
  for (let at = 0; at < count; at += SETUP_CONCURRENCY) {
    const batch = Math.min(SETUP_CONCURRENCY, count - at);
    await Promise.all(Array.from({ length: batch }, (_, index) => register(at + index)));
  }
  return accounts;
}

/**
 * Logs users in at a steady rate, whether or not earlier logins were answered. A user has one login on the way at most,
 * so that an event can be told to be that login's; with all of them waiting for answers, the next one leaves late.
 * @returns how many left late
 */
async function logInSteadily({ api, accounts }: Scene, ratePerSecond: number, seconds: number): Promise<number> {
  const startedAt = performance.now();
  const free = [...accounts];
  const answers: Promise<unknown>[] = [];
  let late = 0;
  for (let at = 0; at < ratePerSecond * seconds; at += 1) {
    await sleep(Math.max(0, startedAt + (at * 1000) / ratePerSecond - performance.now()));
    if (free.length === 0) late += 1;
    while (free.length === 0) await sleep(1);
    const account = free.shift();
    if (account !== undefined) {
      answers.push(api.logIn(account.phoneNumber, PASSWORD).finally(() => free.push(account)));
    }
  }
  await Promise.all(answers);
  return late;
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options, progress } = context;
  const { seconds = SECONDS_DEFAULT, ratePerSecond = RATE_DEFAULT, sockets = SOCKETS_DEFAULT } = options;
  const scene = await setScene(context, sockets);
  await logInSteadily(scene, ratePerSecond, WARM_UP_SECONDS);
  progress(`warm; ${ratePerSecond} logins a second for ${seconds} s`);
  const firstOperation = scene.ledger.operations.length;
  const lastRow = await readLastRow(scene.stack);
  const clockBefore = Date.now() - nowMs();
  const stopWatch = watchServers(scene.servers);
  const late = await logInSteadily(scene, ratePerSecond, seconds);
  const usage = stopWatch();
  const clockDriftMs = Date.now() - nowMs() - clockBefore;
  const operations = scene.ledger.operations.slice(firstOperation);
  const succeeded = operations.filter(({ outcome }) => outcome === 'ok');
  progress(`${operations.length} logins, ${succeeded.length} succeeded; waiting for the last frames`);
  const events = await readEvents(scene.stack, lastRow);
  await waitForFrames(scene, events);
  const { table, notes } = describeUsage(scene.servers, [usage]);
  const delivery = judgeDelivery(scene, events, operations.length, succeeded.length);
  return {
    headlines: toHeadlines(scene, events, `at ${ratePerSecond} events/s, ${sockets} sockets`),
    tables: [tabulateLatencies(scene, succeeded, events), delivery.table, table],
    conditions: {
      ...scene.conditions,
      seconds,
      logins_per_second: ratePerSecond,
      sockets,
      logins_that_left_late: late,
      clock_drift_ms: Math.round(clockDriftMs),
    },
    notes: [
      ...notes,
      ...describeFailures(operations),
      'commit: the event\'s time by the clock of the database, which is this machine\'s: when its statement ran, ' +
        'before the commit reached the disk. frame, 2xx: when the client had read it.',
      '2xx → frame is negative where the frame came before the answer: both leave after the commit, by other ways.',
    ],
    problems: delivery.problems,
  };
}

/** A login that was refused promised nothing. With logins that left late it says that the rate was too high. */
function describeFailures(operations: readonly Operation[]): string[] {
  const failed = operations.filter(({ outcome }) => outcome !== 'ok');
  const last = failed.at(-1);
  return last === undefined ? [] : [`${failed.length} LOGINS DID NOT SUCCEED, the last one: ${last.note}`];
}

async function readLastRow({ database }: TestStack): Promise<string> {
  const [row] = await database.query<{ id: string }>('select coalesce(max(id), 0) as id from outbox');
  return row?.id ?? '0';
}

/** The events of the logins after that row. Rows stay 10 minutes after they were published: longer than any run. */
function readEvents({ database }: TestStack, afterRow: string): Promise<EventRow[]> {
  return database.query<EventRow>(
    `select event_id as id, user_id::float8 as "userId",
       (extract(epoch from created_at) * 1000)::float8 as "committedAt"
     from outbox where type = 'user.login' and id > $1`,
    [afterRow],
  );
}

async function waitForFrames({ received }: Scene, events: readonly EventRow[]): Promise<void> {
  const areAllHere = (): boolean => events.every(({ id }) => received.has(id));
  await waitFor(areAllHere, { timeoutMs: FRAMES_TIMEOUT_MS }).catch(() => undefined); // what is missing is counted
}

/** Of each event: from its commit to its first frame. NaN for one that never came. */
function frameDelaysMs({ received }: Scene, events: readonly EventRow[]): number[] {
  return events.map(({ id, committedAt }) => (received.get(id)?.firstAt ?? NaN) - committedAt);
}

function toHeadlines(scene: Scene, events: readonly EventRow[], load: string): Headline[] {
  const delaysMs = frameDelaysMs(scene, events).filter(Number.isFinite);
  const base = { row: 11, unit: 'ms', better: 'lower' } as const;
  return [
    { ...base, figure: `commit → frame ${load}, p50`, value: percentile(delaysMs, 0.5), target: P50_MS_MAX },
    { ...base, figure: `commit → frame ${load}, p99`, value: percentile(delaysMs, 0.99), target: P99_MS_MAX },
  ];
}

function tabulateLatencies(scene: Scene, operations: readonly Operation[], events: readonly EventRow[]): Table {
  const framedAt = (event: EventRow | undefined): number => scene.received.get(event?.id ?? '')?.firstAt ?? NaN;
  const pairs = operations.map((operation) => ({ operation, event: findEvent(events, operation) }));
  const measurements: [name: string, samples: number[]][] = [
    ['commit → frame', frameDelaysMs(scene, events)],
    ['2xx → frame', pairs.map(({ operation, event }) => framedAt(event) - (operation.endedAt ?? NaN))],
    ['request → 2xx', operations.map(({ startedAt, endedAt }) => (endedAt ?? NaN) - startedAt)],
    ['request → frame', pairs.map(({ operation, event }) => framedAt(event) - operation.startedAt)],
  ];
  return tabulateMilliseconds('From the commit of a login to its notification', measurements);
}

/** The event that was committed while its user's login was on its way: there is one on its way at most. */
function findEvent(events: readonly EventRow[], { userId, startedAt, endedAt }: Operation): EventRow | undefined {
  return events.find(
    (event) => event.userId === userId && event.committedAt >= startedAt && event.committedAt <= (endedAt ?? Infinity),
  );
}

function judgeDelivery(
  { received }: Scene,
  events: readonly EventRow[],
  sent: number,
  succeeded: number,
): { table: Table; problems: string[] } {
  const receptions = events.map(({ id }) => received.get(id));
  const lost = receptions.filter((reception) => reception === undefined).length;
  const repeated = receptions.filter((reception) => reception !== undefined && reception.count > 1).length;
  const foreign = receptions.filter((reception) => reception?.isForeign === true).length;
  const uncommitted = Math.max(0, succeeded - events.length);
  return {
    table: {
      title: 'Delivery',
      columns: toColumns('logins sent', '2xx', 'events committed', 'lost', 'repeated', 'at the wrong user'),
      rows: [[sent, succeeded, events.length, lost, repeated, foreign]],
    },
    problems: lost + repeated + foreign + uncommitted > 0 ? ['not every login reached its user exactly once'] : [],
  };
}

export const commitToFrame: BenchScenario = {
  name: 'commit-to-frame',
  description: 'from the commit of a login to its notification on the socket',
  options: [
    `--seconds (${SECONDS_DEFAULT}) --rate (${RATE_DEFAULT}) --sockets (${SOCKETS_DEFAULT})`,
    '--hashes (cheap) --through-gateway',
  ],
  run,
};
