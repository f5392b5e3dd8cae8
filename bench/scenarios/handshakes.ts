import { connect } from 'node:net';
import { ROOMY_NOTIFY_LIMITS, startServiceProcess, type ServiceProcess } from '@infrasignal/testkit';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { registerMany } from '../load/account-client.ts';
import { runClosedLoop, type LoopResult } from '../load/closed-loop.ts';
import { toHandshake } from '../load/socket-handshake.ts';
import { readCpuSeconds } from '../process-usage.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers, type Usage } from '../server-watch.ts';
import { median, spread } from '../statistics.ts';
import type { Table } from '../table.ts';

const SECONDS_DEFAULT = 30;
const ROUNDS_DEFAULT = 5;
const CONCURRENCY_DEFAULT = 8;

/** Sockets of many users, as after a restart: the joins read different parts of the log. */
const USERS = 50;

/** Not measured: everything is compiled after it. */
const WARM_UP_SECONDS = 1;

/** One way in which a handshake goes. */
interface Way {
  readonly name: string;
  readonly node: ServiceProcess;
  /** Header lines beside those that every handshake has. */
  readonly headers: (at: number) => readonly string[];
  /** What an answer holds that has come to its end. */
  readonly until: string;
}

interface Round {
  readonly loop: LoopResult;
  readonly usage: Usage;
  readonly cpuSeconds: number;
}

/** One handshake on a connection of its own, until the answer that is expected. @throws Error for another one */
function shakeHands({ node, until }: Way, headers: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(node.port, '127.0.0.1');
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      received += text;
      if (!received.includes(until)) return;
      socket.resetAndDestroy();
      resolve(received);
    });
    socket.on('error', reject);
    socket.on('close', () => {
      reject(new Error(`${until} was expected, but the answer was ${received.slice(0, 300)}`));
    });
    socket.write(toHandshake(headers));
  });
}

/** The ticket in the `connected` frame of each token's first socket. */
async function fetchTickets(way: Way, count: number): Promise<string[]> {
  const tickets: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const answer = await shakeHands(way, way.headers(at));
    tickets.push(/"ticket":"([^"]+)"/.exec(answer)?.[1] ?? '');
  }
  return tickets;
}

async function createWays({ t }: BenchContext, { stack }: BenchStack, tokens: readonly string[]): Promise<Way[]> {
  const env = { NATS_URL: stack.nats.url, JWKS_URL: `${stack.auth.url}/.well-known/jwks.json`, ...ROOMY_NOTIFY_LIMITS };
  const full = await startServiceProcess(t, {
    entry: 'services/notify-service/src/server.ts',
    env: { ...env, HANDSHAKES_PER_SECOND_MAX: '1' },
  });
  const node = stack.notify;
  const tokenOf = (at: number): string => tokens[at % tokens.length] ?? '';
  const bearer = (at: number): string[] => [
    `Authorization: Bearer ${tokenOf(at)}`,
    'Sec-WebSocket-Protocol: infrasignal.v1',
  ];
  const byToken: Way = { name: 'let in by token', node, headers: bearer, until: '"ping_ms"' };
  const tickets = await fetchTickets({ ...byToken, until: '"ticket"' }, tokens.length);
  const byTicket = (at: number): string[] => [
    `Authorization: Bearer ${tokenOf(at)}`,
    `Sec-WebSocket-Protocol: infrasignal.v1, ticket.${tickets[at % tickets.length] ?? ''}`,
  ];
  return [
    byToken,
    { name: 'let in by ticket', node, headers: byTicket, until: '"ping_ms"' },
    {
      name: 'refused: signature wrong (401)',
      node,
      headers: (at) => [`Authorization: Bearer ${tokenOf(at).slice(0, -8)}AAAAAAAA`],
      until: ' 401 ',
    },
    { name: 'refused: no token (401)', node, headers: () => [], until: ' 401 ' },
    // All but one a second, which is the least that can be set.
    { name: 'refused: node busy (503)', node: full, headers: bearer, until: 'HTTP/1.1 ' },
  ];
}

async function measure(way: Way, bench: BenchStack, concurrency: number, seconds: number): Promise<Round> {
  const stopWatch = watchServers(bench.servers);
  const before = readCpuSeconds(way.node.pid);
  let next = 0;
  const loop = await runClosedLoop(concurrency, seconds, async () => {
    next += 1;
    await shakeHands(way, way.headers(next));
  });
  return { loop, cpuSeconds: readCpuSeconds(way.node.pid) - before, usage: stopWatch() };
}

function tabulate(ways: readonly Way[], rounds: ReadonlyMap<Way, readonly Round[]>): Table {
  return {
    title: 'What one handshake costs notify-service, its TCP connection and its end included',
    columns: [
      { name: 'handshake' },
      { name: 'CPU µs' },
      { name: 'spread %' },
      { name: 'a second', digits: 0 },
      { name: 'handshakes' },
    ],
    rows: ways.map((way) => {
      const own = rounds.get(way) ?? [];
      const cost = own.map(({ cpuSeconds, loop }) => (cpuSeconds / loop.count) * 1e6);
      const rates = own.map(({ loop }) => loop.ratePerSecond);
      const count = own.reduce((sum, { loop }) => sum + loop.count, 0);
      return [way.name, median(cost), spread(cost) * 100, median(rates), count];
    }),
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds: roundCount = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT } = options;
  const { concurrency = CONCURRENCY_DEFAULT } = options;
  const bench = await startBenchStack(context, { hashes: 'cheap' });
  const tokens = (await registerMany(t, bench.authUrls, USERS)).map(({ access }) => access);
  const ways = await createWays(context, bench, tokens);
  const rounds = new Map<Way, Round[]>(ways.map((way) => [way, []]));
  for (const way of ways) await measure(way, bench, concurrency, WARM_UP_SECONDS);
  // In turn, so that whatever else the machine does falls on all of them.
  for (let at = 0; at < roundCount; at += 1) {
    for (const way of ways) {
      rounds.get(way)?.push(await measure(way, bench, concurrency, seconds / roundCount / ways.length));
    }
    progress(`${at + 1} of ${roundCount} rounds`);
  }
  const usages = [...rounds.values()].flat().map(({ usage }) => usage);
  const { table, notes } = describeUsage(bench.servers, usages);
  return {
    tables: [tabulate(ways, rounds), table],
    conditions: { ...bench.conditions, users: USERS, concurrency, rounds: roundCount },
    notes: [...notes, 'Let in: until the `connected` frame was read, the join included. The client then resets.'],
    problems: [],
  };
}

export const handshakes: BenchScenario = {
  name: 'handshakes',
  description: 'what a handshake costs: by token, by reconnect ticket, and refused',
  options: [`--seconds (${SECONDS_DEFAULT}) --rounds (${ROUNDS_DEFAULT}) --concurrency (${CONCURRENCY_DEFAULT})`],
  run,
};
