import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { TokenResponse } from '@infrasignal/shared';
import { nowMs } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, readTokens, registerMany, type AccountClient } from '../load/account-client.ts';
import { runClosedLoop } from '../load/closed-loop.ts';
import type { HttpConnection } from '../load/http-connection.ts';
import { runOpenLoop } from '../load/open-loop.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers, type Usage } from '../server-watch.ts';
import { median, percentile } from '../statistics.ts';
import { toColumns, type Cell, type Table } from '../table.ts';

const SECONDS_DEFAULT = 80;
const ROUNDS_DEFAULT = 4;

/** The service's own defaults: a stack for benchmarks lets everybody wait. */
const QUEUE_DEFAULTS = { HASH_WAITING_MAX: '100', HASH_WAIT_MS_MAX: '2000' };

/** How many times what it can carry is asked of the service. */
const LOADS = [1, 3, 10];

/** As many as keep it busy, and no more: what it does for them is all that it can. */
const UNLOADED_CONCURRENCY = 8;

/** More than the service lets wait, so that the generator always has a connection for the next one. */
const CONNECTIONS = 250;

/** A user has one login on the way at the most; two would wait for each other's row. */
const ACCOUNTS = CONNECTIONS;

/** Not measured: code is compiled, pools fill. */
const WARM_UP_SECONDS = 4;

/** How often the bystanders ask. */
const PROBE_INTERVAL_MS = 20;

/** The parallel logins whose memory is looked at. */
const PARALLEL_LOGINS = 200;

const MEMORY_INTERVAL_MS = 10;

/** What happened in one period. */
interface Period {
  readonly name: string;
  readonly seconds: number;
  readonly offered: number;
  readonly acceptedMs: number[];
  readonly refusedMs: number[];
  /** Answers that are neither. */
  readonly others: string[];
  readonly refreshMs: readonly number[];
  readonly healthMs: readonly number[];
  readonly missed: number;
  readonly usage: Usage;
}

interface Scene {
  readonly bench: BenchStack;
  readonly clients: readonly AccountClient[];
  readonly users: readonly TokenResponse[];
  readonly bystander: Bystander;
}

/** Somebody who refreshes and asks for the service's health now and then, one after the other. */
class Bystander {
  readonly #refresher: AccountClient;
  readonly #prober: HttpConnection;
  #token: string;

  constructor([refresher, prober]: readonly AccountClient[], token: string) {
    if (refresher === undefined || prober === undefined) throw new RangeError('a bystander has two connections');
    this.#refresher = refresher;
    this.#prober = prober.connection;
    this.#token = token;
  }

  /** Asks until told to stop. @returns how long each answer took */
  watch(): () => Promise<{ refreshMs: number[]; healthMs: number[] }> {
    let isOver = false;
    const repeat = async (ask: () => Promise<void>): Promise<number[]> => {
      const latenciesMs: number[] = [];
      while (!isOver) {
        const startedAt = nowMs();
        await ask();
        latenciesMs.push(nowMs() - startedAt);
        await sleep(PROBE_INTERVAL_MS);
      }
      return latenciesMs;
    };
    const refreshing = repeat(async () => {
      this.#token = readTokens(await this.#refresher.refresh(this.#token)).refresh;
    });
    const probing = repeat(async () => {
      const { status } = await this.#prober.get('/healthz');
      if (status !== 200) throw new Error(`/healthz answered ${status}`);
    });
    return async () => {
      isOver = true;
      const [refreshMs, healthMs] = await Promise.all([refreshing, probing]);
      return { refreshMs, healthMs };
    };
  }
}

/** @param load makes the logins of the period; gets what performs one @returns how many were due, and not made */
async function measure(
  { bench, clients, users, bystander }: Scene,
  name: string,
  load: (logIn: (worker: number) => Promise<void>) => Promise<{ seconds: number; offered: number; missed: number }>,
): Promise<Period> {
  const outcome = { acceptedMs: [] as number[], refusedMs: [] as number[], others: [] as string[] };
  const logIn = async (worker: number): Promise<void> => {
    const startedAt = nowMs();
    const answer = await clients[worker]?.tryLogIn(users[worker]?.phone_number ?? '');
    if (answer === undefined) throw new RangeError(`no worker ${worker}`);
    const tookMs = answer.receivedAt - startedAt;
    if (answer.status === 200) outcome.acceptedMs.push(tookMs);
    else if (answer.status === 503) outcome.refusedMs.push(tookMs);
    else outcome.others.push(`${answer.status} ${answer.body.slice(0, 200)}`);
  };
  const stopBystander = bystander.watch();
  const stopWatch = watchServers(bench.servers);
  const { seconds, offered, missed } = await load(logIn);
  const usage = stopWatch();
  return { name, seconds, offered, missed, ...outcome, ...(await stopBystander()), usage };
}

const UNLOADED = 'as much as it can';
const QUIET = 'no logins';

/** All periods of a round, next to each other in time: what drifts over the run falls on all alike. */
async function measureRound(scene: Scene, seconds: number): Promise<Period[]> {
  const quiet = await measure(scene, QUIET, async () => {
    await sleep(seconds * 1_000);
    return { seconds, offered: 0, missed: 0 };
  });
  const unloaded = await measure(scene, UNLOADED, async (logIn) => {
    const loop = await runClosedLoop(UNLOADED_CONCURRENCY, seconds, logIn);
    return { seconds: loop.seconds, offered: loop.count, missed: 0 };
  });
  const capacity = unloaded.acceptedMs.length / unloaded.seconds;
  const periods = [quiet, unloaded];
  for (const load of LOADS) {
    periods.push(
      await measure(scene, `${load}×`, async (logIn) => {
        const startedAt = nowMs();
        const { begun, missed } = await runOpenLoop(CONNECTIONS, capacity * load, seconds, logIn);
        // Until the last answer: what waits at the end is work of this period.
        return { seconds: (nowMs() - startedAt) / 1_000, offered: begun + missed, missed };
      }),
    );
  }
  return periods;
}

function readResidentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
}

/** Memory of auth-service while so many log in at once. */
async function measureMemory({ bench, clients, users }: Scene): Promise<Table> {
  const { pid } = bench.stack.auth;
  const before = readResidentMib(pid);
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, readResidentMib(pid));
  }, MEMORY_INTERVAL_MS);
  const logins = clients.slice(0, PARALLEL_LOGINS).map((client, at) => client.tryLogIn(users[at]?.phone_number ?? ''));
  const answers = await Promise.all(logins);
  clearInterval(timer);
  const accepted = answers.filter(({ status }) => status === 200).length;
  return {
    title: `Resident memory of auth-service with ${PARALLEL_LOGINS} logins at once`,
    columns: toColumns('MiB before', 'MiB at the peak', 'accepted', 'refused'),
    rows: [[before, peak, accepted, answers.length - accepted]],
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { t, options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT } = options;
  const bench = await startBenchStack(context, { hashes: 'production', authEnv: QUEUE_DEFAULTS });
  const [first, ...users] = await registerMany(t, bench.authUrls, ACCOUNTS + 1);
  const clients = await openClients(t, bench.authUrls, CONNECTIONS);
  const scene = { bench, clients, users, bystander: new Bystander(await openClients(t, bench.authUrls, 2), first?.refresh ?? '') };
  const memory = await measureMemory(scene);
  const periodSeconds = seconds / rounds / (LOADS.length + 2);
  progress(`${users.length} users; warming up`);
  await measureRound(scene, WARM_UP_SECONDS / (LOADS.length + 2));
  const periods: Period[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const measured = await measureRound(scene, periodSeconds);
    periods.push(...measured);
    const rates = measured.slice(1).map(({ name, acceptedMs, seconds: took }) => `${name} ${(acceptedMs.length / took).toFixed(0)}`);
    progress(`round ${round} of ${rounds}: successful logins a second: ${rates.join(', ')}`);
  }
  const usage = describeUsage(bench.servers, periods.map((period) => period.usage));
  const others = periods.flatMap((period) => period.others);
  return {
    tables: [tabulateLogins(periods), tabulateCosts(periods), tabulateBystander(periods), memory, usage.table],
    conditions: { ...bench.conditions, ...QUEUE_DEFAULTS, seconds_of_each_period: periodSeconds, rounds, connections: CONNECTIONS },
    notes: [
      ...usage.notes,
      `“${UNLOADED}”: ${UNLOADED_CONCURRENCY} clients, each with its next login when the last one is answered. “3×”: ` +
        'three times that rate, whether or not earlier logins are answered.',
      'Of the maximum: successful logins a second ÷ those of the same round without more than it can carry; median.',
      'The load generator runs on the same cores, and the more it asks the more of them it takes from the hashes.',
    ],
    problems: others.length === 0 ? [] : [`${others.length} answers that are neither 200 nor 503, for instance ${others[0]}`],
  };
}

function byName(periods: readonly Period[]): Map<string, Period[]> {
  const groups = new Map<string, Period[]>();
  for (const period of periods) groups.set(period.name, [...(groups.get(period.name) ?? []), period]);
  return groups;
}

function rateOf({ acceptedMs, seconds }: Period): number {
  return acceptedMs.length / seconds;
}

function tabulateLogins(periods: readonly Period[]): Table {
  const groups = byName(periods);
  const unloaded = groups.get(UNLOADED) ?? [];
  const rows = [...groups].filter(([name]) => name !== QUIET).map(([name, group]): Cell[] => {
    const accepted = group.flatMap(({ acceptedMs }) => acceptedMs);
    const refused = group.flatMap(({ refusedMs }) => refusedMs);
    const shares = group.map((period, round) => rateOf(period) / rateOf(unloaded[round] ?? period));
    return [
      name,
      median(group.map(({ offered, seconds }) => offered / seconds)),
      median(group.map(rateOf)),
      median(shares),
      percentile(shares, 0),
      refused.length / (accepted.length + refused.length),
      percentile(accepted, 0.5),
      percentile(accepted, 0.99),
      percentile(refused, 0.5),
      percentile(refused, 0.99),
      group.reduce((sum, { missed }) => sum + missed, 0),
    ];
  });
  return {
    title: 'Logins by load',
    columns: [
      { name: 'load' },
      { name: 'asked/s' },
      { name: 'successful/s', digits: 1 },
      { name: 'of the maximum', digits: 3 },
      { name: 'worst round', digits: 3 },
      { name: 'refused', digits: 3 },
      { name: 'accepted p50 ms' },
      { name: 'p99 ms' },
      { name: 'refused p50 ms', digits: 1 },
      { name: 'p99 ms (refused)', digits: 1 },
      { name: 'not sent' },
    ],
    rows,
  };
}

/** Whom the cores belonged to: what the generator takes, and what a refusal costs, are not left for hashes. */
function tabulateCosts(periods: readonly Period[]): Table {
  const rows = [...byName(periods)].map(([name, group]): Cell[] => {
    const seconds = group.reduce((sum, { usage }) => sum + usage.seconds, 0);
    const cores = (pick: (usage: Usage) => number): number =>
      group.reduce((sum, { usage }) => sum + pick(usage), 0) / seconds;
    return [
      name,
      cores(({ cpuSeconds }) => cpuSeconds.get('auth-service') ?? NaN),
      cores(({ cpuSeconds }) => cpuSeconds.get('PostgreSQL') ?? NaN),
      cores(({ generator }) => generator.cpuSeconds),
      cores(({ othersCpuSeconds }) => othersCpuSeconds),
      group.reduce((sum, { acceptedMs }) => sum + acceptedMs.length, 0) /
        group.reduce((sum, { usage }) => sum + (usage.cpuSeconds.get('auth-service') ?? NaN), 0),
    ];
  });
  return {
    title: `Cores used (of ${cpus().length}), by load`,
    columns: [
      { name: 'load' },
      ...['auth-service', 'PostgreSQL', 'load generator', 'everything else'].map((name) => ({ name, digits: 2 })),
      { name: 'logins per CPU s of auth-service', digits: 1 },
    ],
    rows,
  };
}

function tabulateBystander(periods: readonly Period[]): Table {
  const rows = [...byName(periods)].flatMap(([name, group]): Cell[][] => {
    const rowOf = (what: string, latenciesMs: readonly number[]): Cell[] => [
      `${what}, ${name}`,
      percentile(latenciesMs, 0.5),
      percentile(latenciesMs, 0.99),
      percentile(latenciesMs, 1),
      latenciesMs.length,
    ];
    return [
      rowOf('token/refresh', group.flatMap(({ refreshMs }) => refreshMs)),
      rowOf('/healthz', group.flatMap(({ healthMs }) => healthMs)),
    ];
  });
  return {
    title: 'What others notice, by load',
    columns: [{ name: 'ms' }, ...['p50', 'p99', 'max'].map((name) => ({ name, digits: 2 })), { name: 'samples' }],
    rows: [...rows.filter(([name]) => String(name).startsWith('token')), ...rows.filter(([name]) => String(name).startsWith('/'))],
  };
}

export const loginLoad: BenchScenario = {
  name: 'login-load',
  description: 'successful logins a second when 1, 3 and 10 times as many are wanted as can be, and who notices',
  options: [`--seconds (${SECONDS_DEFAULT}, all rounds together) --rounds (${ROUNDS_DEFAULT}) --hashes (production)`],
  run,
};
