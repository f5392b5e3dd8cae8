import { EventSocket, Ledger, nowMs, waitFor, type ClientRecord, type TestStack } from '@infrasignal/testkit';
import type { TokenResponse } from '@infrasignal/shared';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, registerMany, type AccountClient } from '../load/account-client.ts';
import { readMemoryMib } from '../process-usage.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers } from '../server-watch.ts';
import { tabulateMilliseconds, toColumns, type Table } from '../table.ts';

const SOCKETS_DEFAULT = 10_000;
const RATE_DEFAULT = 50;

/** How many handshakes are on their way at once; more would only wait in the kernel's queue and be sent again. */
const CONNECTING_AT_ONCE = 64;

/** Not counted: the node compiles its code, and its heap takes its shape. */
const WARM_UP_SOCKETS = 200;

/** Without anything happening, garbage of the handshakes is collected. */
const IDLE_SECONDS = 20;

/** Events flow before the node is killed, and after everybody is back. */
const FLOW_SECONDS = 5;

const CONNECT_TIMEOUT_MS = 300_000;
const FRAMES_TIMEOUT_MS = 30_000;

interface Scene extends BenchStack {
  readonly users: readonly TokenResponse[];
  readonly sockets: readonly EventSocket[];
  readonly records: readonly ClientRecord[];
}

/** Opens sockets, so many at once. @returns seconds until all are connected */
async function connectAll(sockets: readonly EventSocket[]): Promise<number> {
  const startedAt = performance.now();
  let next = 0;
  const connect = async (): Promise<void> => {
    for (let socket = sockets[next++]; socket !== undefined; socket = sockets[next++]) {
      const { start, isConnected } = { start: () => socket?.start(), isConnected: () => socket?.isConnected === true };
      start();
      await waitFor(isConnected, { description: 'a socket to be connected', timeoutMs: CONNECT_TIMEOUT_MS });
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, connect));
  return (performance.now() - startedAt) / 1_000;
}

/** Logs users in at a steady rate until it is told to stop. @returns stops it, and resolves with how many succeeded */
function startLogins(
  clients: readonly AccountClient[],
  users: readonly TokenResponse[],
  ratePerSecond: number,
): () => Promise<number> {
  let isStopped = false;
  let succeeded = 0;
  const startedAt = performance.now();
  const answers: Promise<void>[] = [];
  const free = [...clients];
  const logIn = async (client: AccountClient, at: number): Promise<void> => {
    const user = users[(at * 7_919) % users.length];
    const answer = await client.tryLogIn(user?.phone_number ?? '');
    free.push(client);
    if (answer.status === 200) succeeded += 1;
  };
  const running = (async () => {
    for (let at = 0; !isStopped; at += 1) {
      await sleep(Math.max(0, startedAt + (at * 1_000) / ratePerSecond - performance.now()));
      while (free.length === 0) await sleep(1);
      const client = free.shift();
      if (client !== undefined) answers.push(logIn(client, at));
    }
  })();
  return async () => {
    isStopped = true;
    await running;
    await Promise.all(answers);
    return succeeded;
  };
}

interface Verdict {
  readonly committed: number;
  readonly lost: number;
  readonly repeated: number;
  readonly unrecovered: number;
}

/** Holds what each client was sent against its user's counter in the database. */
function judge(records: readonly ClientRecord[], newestSeqs: ReadonlyMap<number, number>): Verdict {
  let [committed, lost, repeated, unrecovered] = [0, 0, 0, 0];
  for (const { userId, connections } of records) {
    const frames = connections.flatMap((connection) => connection.frames.map(({ body }) => body));
    const [greeting] = frames;
    const first = Number(greeting?.seq);
    const newest = newestSeqs.get(userId ?? 0) ?? NaN;
    const seqs = frames.filter(({ type }) => String(type).includes('.')).map(({ seq }) => Number(seq));
    committed += newest - first;
    lost += newest - first - new Set(seqs).size;
    repeated += seqs.length - new Set(seqs).size;
    unrecovered += frames.filter(({ recovered }) => recovered === false).length;
  }
  return { committed, lost, repeated, unrecovered };
}

async function readNewestSeqs({ database }: TestStack): Promise<Map<number, number>> {
  const rows = await database.query<{ id: number; seq: number }>(
    'select id::float8 as id, event_seq::float8 as seq from users',
  );
  return new Map(rows.map(({ id, seq }) => [id, seq]));
}

/** From the commit of each event since a moment to its first frame, by the clock of this machine. */
function deliveryTimes(records: readonly ClientRecord[], sinceMs: number): number[] {
  return records.flatMap(({ connections }) =>
    connections.flatMap(({ frames }) =>
      frames
        .filter(({ body }) => typeof body.time === 'string' && Date.parse(body.time) >= sinceMs)
        .map(({ at, body }) => at - Date.parse(String(body.time))),
    ),
  );
}

async function setScene(context: BenchContext, count: number): Promise<Scene> {
  const { t, progress } = context;
  const bench = await startBenchStack(context, { hashes: 'cheap' });
  progress(`${count} registrations`);
  const users = await registerMany(t, bench.authUrls, count);
  const ledger = new Ledger();
  const sockets = users.map(({ user_id: userId, access }) => {
    const record = ledger.addClient(`user ${userId}`, userId);
    return new EventSocket({ urls: [bench.notifyUrl], access, record });
  });
  t.teardown(() => {
    for (const socket of sockets) socket.stop();
  });
  return { ...bench, users, sockets, records: sockets.map(({ record }) => record) };
}

/** Opens and closes some sockets of a client of its own. */
async function warmUp({ users, notifyUrl }: Scene): Promise<void> {
  const ledger = new Ledger();
  const sockets = users.slice(0, WARM_UP_SOCKETS).map(({ user_id: userId, access }) => {
    const record = ledger.addClient('warm-up', userId);
    return new EventSocket({ urls: [notifyUrl], access, record });
  });
  await connectAll(sockets);
  for (const socket of sockets) socket.stop();
}

/** Kills the node with everybody on it. @returns when it was killed, and when each client was whole again, in ms */
async function killAndRestart({ stack, sockets, records }: Scene): Promise<{ killedAt: number; readyMs: number; wholeMs: number[] }> {
  const killedAt = nowMs();
  await stack.notify.kill();
  await stack.notify.restart();
  const readyMs = nowMs() - killedAt;
  await waitFor(() => sockets.every(({ isConnected }) => isConnected), {
    description: 'everybody to be back',
    timeoutMs: CONNECT_TIMEOUT_MS,
  });
  // `connected` and what was missed are one write: who has the first has the rest.
  const wholeMs = records.map(({ connections }) => (connections.at(-1)?.frames[0]?.at ?? NaN) - killedAt);
  return { killedAt, readyMs, wholeMs };
}

/** Sends everybody away in order. @returns seconds until the process had ended, and how many were told before */
async function drain({ stack, records }: Scene): Promise<{ seconds: number; told: number; closed: number }> {
  const startedAt = performance.now();
  await stack.notify.stop();
  const seconds = (performance.now() - startedAt) / 1_000;
  const last = records.map(({ connections }) => connections.findLast(({ openedAt }) => openedAt !== null));
  const told = last.filter((connection) => connection?.frames.at(-1)?.body.type === 'reconnect').length;
  return { seconds, told, closed: last.filter((connection) => connection?.closeCode === 4000).length };
}

function tabulateSteps(rows: readonly (readonly [step: string, value: number, unit: string])[]): Table {
  return { title: 'Steps', columns: [{ name: 'step' }, { name: 'value', digits: 2 }, { name: 'unit' }], rows };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { sockets: count = SOCKETS_DEFAULT, ratePerSecond = RATE_DEFAULT } = options;
  const scene = await setScene(context, count);
  const { stack, records } = scene;
  await warmUp(scene);
  const emptyMib = readMemoryMib(stack.notify.pid);
  const stopWatch = watchServers(scene.servers);
  const connectSeconds = await connectAll(scene.sockets);
  progress(`${count} sockets connected in ${connectSeconds.toFixed(1)} s`);
  const connectUsage = stopWatch();
  await sleep(IDLE_SECONDS * 1_000);
  const idleMib = readMemoryMib(stack.notify.pid);

  const clients = await openClients(t, scene.authUrls, 16);
  const stopLogins = startLogins(clients, scene.users, ratePerSecond);
  await sleep(FLOW_SECONDS * 1_000);
  progress('the node is killed');
  const { killedAt, readyMs, wholeMs } = await killAndRestart(scene);
  progress('everybody is back');
  await sleep(FLOW_SECONDS * 1_000);
  const logins = await stopLogins();
  const newestSeqs = await readNewestSeqs(stack);
  await waitFor(() => judge(records, newestSeqs).lost === 0, { timeoutMs: FRAMES_TIMEOUT_MS, intervalMs: 500 })
    .catch(() => undefined); // what is missing is counted
  const verdict = judge(records, newestSeqs);
  const times = deliveryTimes(records, killedAt);
  const backAt = killedAt + Math.max(...wholeMs);
  const drained = await drain(scene);
  const { table, notes } = describeUsage(scene.servers.filter(({ pid }) => pid === stack.auth.pid), [connectUsage]);
  return {
    tables: [
      tabulateSteps([
        ['connect all', connectSeconds, 's'],
        ['resident memory before', emptyMib, 'MiB'],
        ['resident memory idle', idleMib, 'MiB'],
        ['per idle socket', ((idleMib - emptyMib) * 1_024) / count, 'KiB'],
        ['killed → node ready', readyMs / 1_000, 's'],
        ['killed → everybody whole', Math.max(...wholeMs) / 1_000, 's'],
        ['node ready → everybody whole', (Math.max(...wholeMs) - readyMs) / 1_000, 's'],
        ['SIGTERM → everybody sent away, process ended', drained.seconds, 's'],
      ]),
      tabulateMilliseconds('From a commit to the frame', [
        ['events since the kill', times],
        ['events after everybody was back', deliveryTimes(records, backAt)],
        ['killed → a client whole', wholeMs],
      ]),
      {
        title: 'Delivery',
        columns: toColumns('logins 2xx', 'events of connected users', 'lost', 'repeated', 'recovered: false', 'drain: told', 'drain: 4000'),
        rows: [[logins, verdict.committed, verdict.lost, verdict.repeated, verdict.unrecovered, drained.told, drained.closed]],
      },
      table,
    ],
    conditions: { ...scene.conditions, sockets: count, logins_per_second: ratePerSecond, connecting_at_once: CONNECTING_AT_ONCE },
    notes: [
      ...notes,
      'Memory is what the kernel counts (PSS); “before” is after 200 sockets had come and gone. Clients come back with ' +
        'full jitter over 0.2 to 2 s.',
    ],
    problems: verdict.lost + verdict.repeated + verdict.unrecovered > 0 ? ['not everybody got everything exactly once'] : [],
  };
}

export const manySockets: BenchScenario = {
  name: 'many-sockets',
  description: 'authenticated sockets on one process: memory, connecting, a kill with events flowing, drain',
  options: [`--sockets (${SOCKETS_DEFAULT}) --rate (${RATE_DEFAULT}) logins a second`],
  run,
};
