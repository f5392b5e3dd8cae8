import { ROOMY_NOTIFY_LIMITS, startServiceProcess, type ServiceProcess } from '@infrasignal/testkit';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { registerMany } from '../load/account-client.ts';
import { runClosedLoop, type LoopResult } from '../load/closed-loop.ts';
import { openRawSocket } from '../load/socket-handshake.ts';
import { readCpuSeconds } from '../process-usage.ts';
import { ServiceProfiler } from '../profile/service-profiler.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, spread } from '../statistics.ts';
import type { Table } from '../table.ts';

const SECONDS_DEFAULT = 60;
const ROUNDS_DEFAULT = 5;
const CONCURRENCY_DEFAULT = 8;

/** Sockets of many users, as after a restart: the joins read different parts of the log. */
const USERS = 50;

/** Not measured, of each way: everything is compiled after them, however little of the machine there is. */
const WARM_UP_HANDSHAKES = 3_000;

/** The names of the ways that are compared, as tables and charts have them. */
const COLD = 'let in by token';
const BY_TICKET = 'let in by ticket';
const BARE = 'ceiling: bare upgrade of ws';

/** What the headlines ask: so many handshakes per CPU second of what `ws` alone does. */
const TARGETS = [
  { name: COLD, figure: 'handshake cold, per CPU second ÷ bare ws upgrade', target: 0.35 },
  { name: BY_TICKET, figure: 'handshake with ticket, per CPU second ÷ bare ws upgrade', target: 0.8 },
] as const;

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

/** One handshake, and the end of its connection. */
async function shakeHands({ node: { port }, until }: Way, headers: readonly string[]): Promise<string> {
  const { socket, received } = await openRawSocket({ port, headers, until });
  socket.resetAndDestroy();
  return received;
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
  const bare = await startServiceProcess(t, { entry: 'bench/peers/socket-server.ts', env: { WAY: 'ws' } });
  const node = stack.notify;
  const tokenOf = (at: number): string => tokens[at % tokens.length] ?? '';
  const bearer = (at: number): string[] => [
    `Authorization: Bearer ${tokenOf(at)}`,
    'Sec-WebSocket-Protocol: infrasignal.v1',
  ];
  const byToken: Way = { name: COLD, node, headers: bearer, until: '"ping_ms"' };
  const tickets = await fetchTickets({ ...byToken, until: '"ticket"' }, tokens.length);
  const byTicket = (at: number): string[] => [
    `Authorization: Bearer ${tokenOf(at)}`,
    `Sec-WebSocket-Protocol: infrasignal.v1, ticket.${tickets[at % tickets.length] ?? ''}`,
  ];
  return [
    { name: BARE, node: bare, headers: () => [], until: '\r\n\r\n' },
    byToken,
    { name: BY_TICKET, node, headers: byTicket, until: '"ping_ms"' },
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

async function measure(way: Way, servers: readonly WatchedServer[], concurrency: number, seconds: number): Promise<Round> {
  const stopWatch = watchServers(servers);
  const before = readCpuSeconds(way.node.pid);
  let next = 0;
  const loop = await runClosedLoop(concurrency, seconds, async () => {
    next += 1;
    await shakeHands(way, way.headers(next));
  });
  return { loop, cpuSeconds: readCpuSeconds(way.node.pid) - before, usage: stopWatch() };
}

/** The nodes of those ways that are not part of the stack. */
function listOthers(ways: readonly Way[], ours: ServiceProcess): WatchedServer[] {
  const others = ways.filter(({ node }) => node !== ours);
  return others.map(({ name, node: { pid } }) => ({ name, pid, hasChildren: false }));
}

async function warmUp(way: Way, concurrency: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < WARM_UP_HANDSHAKES) {
      next += 1;
      await shakeHands(way, way.headers(next));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
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
      const cost = own.map(costOf);
      const rates = own.map(({ loop }) => loop.ratePerSecond);
      const count = own.reduce((sum, { loop }) => sum + loop.count, 0);
      return [way.name, median(cost), spread(cost) * 100, median(rates), count];
    }),
  };
}

function costOf({ cpuSeconds, loop }: Round): number {
  return (cpuSeconds / loop.count) * 1e6;
}

/** Each beside the bare upgrade of the same round: handshakes per CPU second, ours ÷ theirs. */
function compare(rounds: ReadonlyMap<Way, readonly Round[]>): { table: Table; headlines: Headline[] } {
  const byName = new Map([...rounds].map(([{ name }, own]) => [name, own.map(costOf)]));
  const bare = byName.get(BARE) ?? [];
  const ratiosOf = (name: string): number[] => (byName.get(name) ?? []).map((cost, at) => (bare[at] ?? NaN) / cost);
  const perCpuSecond = (name: string): number => 1e6 / median(byName.get(name) ?? []);
  return {
    table: {
      title: 'Handshakes per CPU second ÷ bare upgrade of ws (median of the rounds)',
      columns: [
        { name: 'handshake' },
        { name: 'ratio', digits: 2 },
        { name: 'spread %' },
        { name: 'target', digits: 2 },
      ],
      rows: TARGETS.map(({ name, target }) => [name, median(ratiosOf(name)), spread(ratiosOf(name)) * 100, target]),
    },
    headlines: TARGETS.map(({ name, figure, target }) => ({
      row: 8,
      figure,
      value: median(ratiosOf(name)),
      unit: 'ratio',
      target,
      better: 'higher',
      sides: {
        'bare ws upgrade, handshakes per CPU second': perCpuSecond(BARE),
        [`infraSignal, ${name}`]: perCpuSecond(name),
      },
    })),
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds: roundCount = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT } = options;
  const { concurrency = CONCURRENCY_DEFAULT } = options;
  const profiler = options.isProfiled ? new ServiceProfiler() : null;
  const bench = await startBenchStack(context, { hashes: 'cheap', notifyEnv: { ...profiler?.environment } });
  const tokens = (await registerMany(t, bench.authUrls, USERS)).map(({ access }) => access);
  const ways = await createWays(context, bench, tokens);
  const servers = [...bench.servers, ...listOthers(ways, bench.stack.notify)];
  const rounds = new Map<Way, Round[]>(ways.map((way) => [way, []]));
  for (const way of ways) await warmUp(way, concurrency);
  // In turn, so that whatever else the machine does falls on all of them.
  for (let at = 0; at < roundCount; at += 1) {
    for (const way of ways) {
      const isProfiled = way.name === BY_TICKET;
      if (isProfiled) await profiler?.start(way.node);
      rounds.get(way)?.push(await measure(way, servers, concurrency, seconds / roundCount / ways.length));
      if (isProfiled) await profiler?.stop();
    }
    progress(`${at + 1} of ${roundCount} rounds`);
  }
  const usages = [...rounds.values()].flat().map(({ usage }) => usage);
  const { table, notes } = describeUsage(servers, usages);
  const compared = compare(rounds);
  return {
    headlines: compared.headlines,
    tables: [tabulate(ways, rounds), compared.table, table, ...(profiler?.tabulate() ?? [])],
    conditions: { ...bench.conditions, users: USERS, concurrency, rounds: roundCount },
    notes: [...notes, 'Let in: until the `connected` frame was read, the join included. The client then resets.'],
    problems: [],
  };
}

export const handshakes: BenchScenario = {
  name: 'handshakes',
  description: 'what a handshake costs: by token, by reconnect ticket, refused; beside the bare upgrade of ws',
  options: [`--seconds (${SECONDS_DEFAULT}) --rounds (${ROUNDS_DEFAULT}) --concurrency (${CONCURRENCY_DEFAULT}) --profile (by ticket)`],
  run,
};
