import {
  AccountApi,
  EventSocket,
  Ledger,
  startTestStack,
  waitFor,
  type Account,
  type Operation,
  type TestStack,
} from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions, BenchResult, BenchScenario } from '../scenario.ts';

const PASSWORD = 'correct horse battery staple';

/** The OWASP minimum, which is the services' default. */
const PRODUCTION_HASHES = { ARGON2_MEMORY_KIB: '19456', ARGON2_ITERATIONS: '2' };

/** Not measured: pools fill, code is compiled, the first leader has been found. */
const WARM_UP_SECONDS = 3;

const SETUP_CONCURRENCY = 8;

/** Longer than any run: no client has to log in again, which would be an event of its own. */
const ACCESS_TOKEN_TTL_SECONDS = 900;

interface Scene {
  readonly stack: TestStack;
  readonly ledger: Ledger;
  readonly api: AccountApi;
  readonly accounts: readonly Account[];
  /** When each notification was received, by event id. */
  readonly receivedAt: Map<string, number>;
}

interface EventRow extends Record<string, unknown> {
  readonly id: string;
  readonly userId: number;
  /** Milliseconds since 1970, with microseconds. */
  readonly committedAt: number;
}

async function setScene(
  { t, options, progress }: Parameters<BenchScenario['run']>[0],
): Promise<Scene> {
  const stack = await startTestStack(t, {
    hasGateway: options.isThroughGateway,
    isDatabaseDurable: true,
    authEnv: {
      ...(options.hashes === 'production' ? PRODUCTION_HASHES : {}),
      ACCESS_TOKEN_TTL_SECONDS: String(ACCESS_TOKEN_TTL_SECONDS),
    },
  });
  const ledger = new Ledger();
  const api = new AccountApi({ urls: [stack.url], ledger });
  const accounts: Account[] = [];
  const register = async (at: number): Promise<void> => {
    const account = await api.register(`+33612${String(at).padStart(6, '0')}`, PASSWORD);
    if (account === null) throw new Error(`a user could not be registered: ${ledger.operations.at(-1)?.note ?? ''}`);
    accounts.push(account);
  };
  for (let at = 0; at < options.sockets; at += SETUP_CONCURRENCY) {
    const count = Math.min(SETUP_CONCURRENCY, options.sockets - at);
    await Promise.all(Array.from({ length: count }, (_, index) => register(at + index)));
  }
  const receivedAt = new Map<string, number>();
  const url = options.isThroughGateway ? stack.url : stack.notify.url;
  const sockets = accounts.map(({ userId, access }) => {
    const record = ledger.addClient(`user ${userId}`, userId);
    const onNotification = (frame: Readonly<Record<string, unknown>>, at: number): void => {
      receivedAt.set(String(frame.id), at);
    };
    return new EventSocket({ urls: [url], access, record, onNotification });
  });
  t.teardown(() => {
    for (const socket of sockets) socket.stop();
    api.closeIdle();
  });
  for (const socket of sockets) socket.start();
  await waitFor(() => sockets.every(({ isConnected }) => isConnected), { description: 'all sockets to be connected' });
  progress(`${sockets.length} sockets connected`);
  return { stack, ledger, api, accounts, receivedAt };
}

/** Logs the users in one after the other at a steady rate, whether or not earlier logins were answered. */
async function logInSteadily({ api, accounts }: Scene, ratePerSecond: number, seconds: number): Promise<void> {
  const startedAt = performance.now();
  const answers: Promise<unknown>[] = [];
  for (let at = 0; at < ratePerSecond * seconds; at += 1) {
    await sleep(Math.max(0, startedAt + (at * 1000) / ratePerSecond - performance.now()));
    const account = accounts[at % accounts.length];
    if (account !== undefined) answers.push(api.logIn(account.phoneNumber, PASSWORD));
  }
  await Promise.all(answers);
}

async function run(context: Parameters<BenchScenario['run']>[0]): Promise<BenchResult> {
  const { options, progress } = context;
  const scene = await setScene(context);
  await logInSteadily(scene, options.ratePerSecond, WARM_UP_SECONDS);
  progress('warm');
  const first = scene.ledger.operations.length;
  await logInSteadily(scene, options.ratePerSecond, options.seconds);
  const operations = scene.ledger.operations.slice(first);
  const succeeded = operations.filter(({ outcome }) => outcome === 'ok');
  progress(`${operations.length} logins, ${succeeded.length} succeeded`);
  const events = await readEvents(scene, succeeded);
  await waitFor(() => events.every(({ id }) => scene.receivedAt.has(id)), { description: 'all frames to arrive' });
  const { version } = (await scene.stack.database.query<{ version: string }>('select version()'))[0] ?? { version: '' };
  return {
    measurements: measure(scene, succeeded, events),
    conditions: { ...describe(options), logins: operations.length, succeeded: succeeded.length, postgres: version },
  };
}

/** The events of these logins, in their order. A user never has two logins on the way. */
async function readEvents({ stack }: Scene, operations: readonly Operation[]): Promise<EventRow[]> {
  const rows = await stack.database.query<EventRow>(
    `select event_id as id, user_id::float8 as "userId",
       (extract(epoch from created_at) * 1000)::float8 as "committedAt"
     from outbox where type = 'user.login' order by id`,
  );
  const newestFirst = rows.reverse();
  return operations.map(({ userId, startedAt, endedAt }) => {
    const row = newestFirst.find(
      (event) => event.userId === userId && event.committedAt >= startedAt && event.committedAt <= (endedAt ?? Infinity),
    );
    if (row === undefined) throw new Error(`no event was committed while user ${userId} logged in`);
    return row;
  });
}

function measure({ receivedAt }: Scene, operations: readonly Operation[], events: readonly EventRow[]) {
  const frames = events.map(({ id }) => receivedAt.get(id) ?? NaN);
  const pairs = operations.map((operation, at) => ({
    startedAt: operation.startedAt,
    endedAt: operation.endedAt ?? NaN,
    committedAt: events[at]?.committedAt ?? NaN,
    framedAt: frames[at] ?? NaN,
  }));
  return [
    { name: 'commit → frame', samples: pairs.map(({ committedAt, framedAt }) => framedAt - committedAt) },
    { name: '2xx → frame (negative: the frame came first)', samples: pairs.map(({ endedAt, framedAt }) => framedAt - endedAt) },
    { name: 'request → 2xx', samples: pairs.map(({ startedAt, endedAt }) => endedAt - startedAt) },
    { name: 'request → frame', samples: pairs.map(({ startedAt, framedAt }) => framedAt - startedAt) },
  ];
}

function describe(options: BenchOptions): Record<string, string | number> {
  return {
    seconds: options.seconds,
    logins_per_second: options.ratePerSecond,
    sockets: options.sockets,
    hashes: options.hashes === 'production' ? 'Argon2id m=19456 t=2 p=1' : 'Argon2id m=256 t=1 p=1',
    way: options.isThroughGateway ? 'through the gateway' : 'straight to the services',
    processes: 'PostgreSQL (fsync on), nats-server (sync always), one auth-service, one notify-service, this client',
    commit_time: "the event's time by the database clock: when its statement ran, just before its commit reached the disk",
  };
}

export const commitToFrame: BenchScenario = {
  name: 'commit-to-frame',
  title: 'from the commit of a login to its notification on the socket',
  run,
};
