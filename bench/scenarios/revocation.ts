import { closeCodes } from '@infrasignal/shared';
import { EventSocket, Ledger, nowMs, waitFor, type ConnectionRecord } from '@infrasignal/testkit';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, registerMany, type AccountClient } from '../load/account-client.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers } from '../server-watch.ts';
import { tabulateMilliseconds, toColumns, type Table } from '../table.ts';

const ROUNDS_DEFAULT = 300;

/** The rounds go through these in turn; each has a second session whose socket must not notice. */
const USERS = 10;

/** The promise is one second; what takes five is counted as left open. */
const CLOSE_TIMEOUT_MS = 5_000;

/** How often a condition is looked at between two rounds; the times themselves are taken where things happen. */
const LOOK_INTERVAL_MS = 2;

interface Round {
  readonly requestedAt: number;
  readonly answeredAt: number;
  readonly status: number;
  /** Null: still open when the time was up. */
  readonly closedAt: number | null;
  readonly closeCode: number | null;
}

interface Witness {
  readonly phoneNumber: string;
  readonly socket: EventSocket;
}

function openSocket(bench: BenchStack, access: string, userId: number): EventSocket {
  const record = new Ledger().addClient(`user ${userId}`, userId);
  const socket = new EventSocket({ urls: [bench.notifyUrl], access, record });
  socket.start();
  return socket;
}

async function openWitnesses({ t }: BenchContext, bench: BenchStack): Promise<Witness[]> {
  const witnesses = (await registerMany(t, bench.authUrls, USERS)).map((tokens) => ({
    phoneNumber: tokens.phone_number,
    socket: openSocket(bench, tokens.access, tokens.user_id),
  }));
  t.teardown(() => {
    for (const { socket } of witnesses) socket.stop();
  });
  const areConnected = (): boolean => witnesses.every(({ socket }) => socket.isConnected);
  await waitFor(areConnected, { description: 'the sockets of the other sessions to be connected' });
  return witnesses;
}

/** Logs in, opens a socket, logs out, and waits for the socket's end. */
async function runRound(bench: BenchStack, client: AccountClient, user: Witness, isBearer: boolean): Promise<Round> {
  const tokens = await client.logIn(user.phoneNumber);
  const socket = openSocket(bench, tokens.access, tokens.user_id);
  try {
    await waitFor(() => socket.isConnected, { intervalMs: LOOK_INTERVAL_MS, description: 'a socket to be connected' });
    const connection = socket.record.connections[0];
    const requestedAt = nowMs();
    const answer = isBearer ? await client.logOutAsBearer(tokens.access) : await client.logOut(tokens.refresh);
    await waitForClose(connection);
    return {
      requestedAt,
      answeredAt: answer.receivedAt,
      status: answer.status,
      closedAt: connection?.closedAt ?? null,
      closeCode: connection?.closeCode ?? null,
    };
  } finally {
    socket.stop();
  }
}

async function waitForClose(connection: ConnectionRecord | undefined): Promise<void> {
  const isClosed = (): boolean => (connection?.closedAt ?? null) !== null;
  const limits = { timeoutMs: CLOSE_TIMEOUT_MS, intervalMs: LOOK_INTERVAL_MS };
  await waitFor(isClosed, limits).catch(() => undefined); // a socket that stayed open is counted
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds: roundCount = ROUNDS_DEFAULT, isThroughGateway } = options;
  const bench = await startBenchStack(context, { hashes: 'production', isThroughGateway });
  const witnesses = await openWitnesses(context, bench);
  const [client] = await openClients(t, bench.authUrls, 1);
  if (client === undefined) throw new Error('no client');
  progress(`${witnesses.length} sockets of other sessions are open`);
  const perform = async (at: number): Promise<Round> => {
    const user = witnesses[at % witnesses.length];
    if (user === undefined) throw new RangeError('no users');
    return runRound(bench, client, user, at % 3 === 2);
  };
  // Not measured: everything is compiled and connected after it.
  for (let at = 0; at < USERS; at += 1) await perform(at);
  const stopWatch = watchServers(bench.servers);
  const rounds: Round[] = [];
  while (rounds.length < roundCount) {
    rounds.push(await perform(rounds.length));
    if (rounds.length % 100 === 0) progress(`${rounds.length} of ${roundCount} sessions ended`);
  }
  const { table, notes } = describeUsage(bench.servers, [stopWatch()]);
  const outcome = judge(rounds, witnesses);
  return {
    tables: [tabulateLatencies(rounds), outcome.table, table],
    conditions: {
      ...bench.conditions,
      rounds: roundCount,
      users: USERS,
      logout: 'with the refresh token, every third as bearer',
    },
    notes: [
      ...notes,
      'close: the socket\'s close event at the client, after both close frames. 2xx: when the client had read it.',
      '2xx → close is negative where the socket closed before the answer was read: both leave after the commit.',
    ],
    problems: outcome.problems,
  };
}

function tabulateLatencies(rounds: readonly Round[]): Table {
  return tabulateMilliseconds('From a logout to the end of its socket', [
    ['2xx → close', rounds.map(({ answeredAt, closedAt }) => (closedAt ?? NaN) - answeredAt)],
    ['request → 2xx', rounds.map(({ requestedAt, answeredAt }) => answeredAt - requestedAt)],
    ['request → close', rounds.map(({ requestedAt, closedAt }) => (closedAt ?? NaN) - requestedAt)],
  ]);
}

function judge(rounds: readonly Round[], witnesses: readonly Witness[]): { table: Table; problems: string[] } {
  const refused = rounds.filter(({ status }) => status !== 204).length;
  const leftOpen = rounds.filter(({ closedAt }) => closedAt === null).length;
  const wronglyClosed = rounds.filter(
    ({ closedAt, closeCode }) => closedAt !== null && closeCode !== closeCodes.sessionRevoked.code,
  ).length;
  // One connection that never ended: not one that came back.
  const isDisturbed = ({ socket }: Witness): boolean =>
    !socket.isConnected || socket.record.connections.length !== 1;
  const disturbed = witnesses.filter(isDisturbed).length;
  const closed = rounds.length - leftOpen - wronglyClosed;
  return {
    table: {
      title: 'Sockets of ended sessions, and of other sessions of the same users',
      columns: toColumns(
        'logouts',
        'not answered 204',
        `closed with ${closeCodes.sessionRevoked.code}`,
        'closed otherwise',
        'left open',
        'other sessions',
        'other sessions disturbed',
      ),
      rows: [[rounds.length, refused, closed, wronglyClosed, leftOpen, witnesses.length, disturbed]],
    },
    problems: [
      ...(refused > 0 ? [`${refused} logouts were not answered 204`] : []),
      ...(leftOpen + wronglyClosed > 0 ? ['not every socket of an ended session was closed as revoked'] : []),
      ...(disturbed > 0 ? ['sockets of other sessions were closed too'] : []),
    ],
  };
}

export const revocation: BenchScenario = {
  name: 'revocation',
  description: 'from the 2xx of a logout to the close of that session’s socket',
  options: [`--rounds (${ROUNDS_DEFAULT}) --hashes (production) --through-gateway`],
  run,
};
