// If this breaks: whoever tries on one machine what production will be like sees another system than that; or one that
// loses what it promised as soon as a part of it is gone.
import { findFreePort, waitFor } from '@infrasignal/local-stack';
import { AccountApi, EventSocket, Ledger, ROOMY_AUTH_LIMITS, ROOMY_NOTIFY_LIMITS, type Account } from '@infrasignal/testkit';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { checkEvidence } from './faults/checks/check-evidence.ts';
import { Load, PASSWORD } from './faults/load.ts';
import { chooseSeed, createRandom } from './faults/random.ts';
import { keepDeletedEvents, takeSnapshot, type Asked } from './faults/snapshot.ts';
import { startNpm, type NpmStart } from './npm-start.ts';

const USERS = 10;
const RATE_PER_SECOND = 20;

/** An election of the NATS cluster takes up to 10 s, of a busy one twice that; restarts come on top. */
const THROUGH_TIMEOUT_MS = 90_000;

const PARTS = [
  'postgres',
  ...['nats-server-1', 'nats-server-2', 'nats-server-3'],
  ...['auth-service-1', 'auth-service-2', 'notify-service-1', 'notify-service-2'],
];

/** Hashes that cost next to nothing: what is tested here is not how hard they are to guess. */
const ENV = { ...ROOMY_AUTH_LIMITS, ...ROOMY_NOTIFY_LIMITS, ARGON2_MEMORY_KIB: '256', ARGON2_ITERATIONS: '1' };

/** Where the ready block says that a part runs. */
function findAddress(stack: NpmStart, part: string): string {
  const address = new RegExp(` ${part} +(127\\.0\\.0\\.1:\\d+)`).exec(stack.output())?.[1];
  if (address === undefined) throw new Error(`${part} is not in:\n${stack.output()}`);
  return address;
}

async function openDatabase(t: Test, stack: NpmStart): Promise<Asked['database']> {
  const password = readFileSync(join(stack.stateDirectory, 'secrets/postgres-password'), 'utf8').trim();
  const address = findAddress(stack, 'postgres');
  const pool = new pg.Pool({ connectionString: `postgres://infrasignal:${password}@${address}/infrasignal`, max: 2 });
  pool.on('error', () => undefined); // it ends before the pool
  t.teardown(() => pool.end());
  const query = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> =>
    (await pool.query<Row>(text, values)).rows;
  return { query };
}

/** The part's process now, as the stack itself keeps it for its next start. */
function findPid({ stateDirectory }: NpmStart, part: string): number {
  const children = JSON.parse(readFileSync(join(stateDirectory, 'run/processes.json'), 'utf8')) as { name: string; pid: number }[];
  return children.find(({ name }) => name === part)?.pid ?? 0;
}

t.setTimeout(300_000);

t.test('F16 npm start -- --cluster: a node of each kind is killed under load, and the ledger finds nothing', async (t) => {
  const seed = chooseSeed();
  t.comment(`seed ${seed}`);
  const random = createRandom(seed);
  const port = await findFreePort();
  const stack = await startNpm(t, { args: ['--cluster', '--port', String(port)], env: ENV });
  for (const part of PARTS) t.ok(findAddress(stack, part), `the ready block says where ${part} runs`);
  const database = await openDatabase(t, stack);
  await keepDeletedEvents(database);
  const servers = ['nats-server-1', 'nats-server-2', 'nats-server-3'].map((part) => `nats://${findAddress(stack, part)}`);

  const ledger = new Ledger();
  const api = new AccountApi({ urls: [stack.url], ledger });
  let numbers = 0;
  const nextPhoneNumber = (): string => `+33612${String((numbers += 1)).padStart(6, '0')}`;
  const accounts: Account[] = [];
  while (accounts.length < USERS) {
    const account = await api.register(nextPhoneNumber(), PASSWORD);
    if (account === null) throw new Error('a user could not be registered');
    accounts.push(account);
  }
  const sockets = accounts.map(({ userId, access }) => {
    const record = ledger.addClient(`user ${userId}`, userId);
    return new EventSocket({ urls: [stack.url], access, record, random });
  });
  t.teardown(() => {
    for (const socket of sockets) socket.stop();
    api.closeIdle();
  });
  for (const socket of sockets) socket.start();
  await waitFor(() => sockets.every(({ isConnected }) => isConnected));
  const load = new Load({ api, random, accounts, ratePerSecond: RATE_PER_SECOND, nextPhoneNumber });
  load.start();
  for (const part of ['nats-server-1', 'notify-service-1', 'auth-service-1']) {
    const pid = findPid(stack, part);
    process.kill(pid, 'SIGKILL');
    await waitFor(() => ![0, pid].includes(findPid(stack, part)), {
      timeoutMs: 60_000,
      description: `${part} to be started again`,
    });
  }
  await load.stop();

  const isThrough = async (): Promise<boolean> => {
    const unpublished = await database.query('select 1 from outbox where published_at is null limit 1');
    const users = await database.query<{ id: number; seq: number }>('select id::float8 as id, event_seq::float8 as seq from users');
    const seqs = new Map(users.map(({ id, seq }) => [id, seq]));
    const isCurrent = ({ record, newestSeqs, isConnected }: EventSocket): boolean =>
      isConnected && record.userId !== null && newestSeqs.get(record.userId) === seqs.get(record.userId);
    return unpublished.length === 0 && sockets.every(isCurrent);
  };
  await waitFor(isThrough, { timeoutMs: THROUGH_TIMEOUT_MS, intervalMs: 100, description: 'everything to be through' });
  const snapshot = await takeSnapshot({ database, nats: { url: servers.join(',') } });
  const { violations, counts } = checkEvidence({ ...snapshot, operations: ledger.operations, clients: ledger.clients }, {});
  t.comment(JSON.stringify(counts));
  t.same(violations, [], 'nothing lost, nothing twice, nothing foreign');
  t.ok(counts.ok > USERS && counts.frames > 0, 'something was asked and something was received');

  for (const socket of sockets) socket.stop();
  const pids = PARTS.map((part) => findPid(stack, part));
  t.equal(await stack.stop(), 0);
  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  t.notOk(pids.some(isAlive), 'nothing is left running');
});
