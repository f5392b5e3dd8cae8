import { nowMs } from '@infrasignal/testkit';
import { startBenchStack, type BenchStack } from '../bench-stack.ts';
import { openClients, registerMany, type AccountClient } from '../load/account-client.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { mannWhitneyP, median, percentile } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';

/** Of each kind of account, in each situation: 400 samples in each comparison. */
const ROUNDS_DEFAULT = 200;

/** Cold are the first requests of a service: it is started again after so many of each kind. */
const COLD_ROUNDS_PER_START = 20;

/** Logins at once beside the measured one, where it is busy. */
const CONCURRENCY_DEFAULT = 2;

/** What the promise is: medians within 5 %, and p above 0.01. */
const MEDIAN_RATIO_MAX = 1.05;
const P_MIN = 0.01;

const WRONG_PASSWORD = 'not the password of anybody';

/** No password has these digits; what is compared with them is computed all the same. */
const DIGEST = 'A'.repeat(43);
const SALT = 'c29tZSBzYWx0IG9mIG91cnM';

/** A number that may or may not have an account; what it has is set with SQL. Null: there is none. */
interface Kind {
  readonly name: string;
  readonly change: string | null;
}

/** What everything is compared with. */
const UNKNOWN: Kind = { name: 'unknown number', change: null };

const OWN_KINDS: readonly Kind[] = [
  UNKNOWN,
  { name: 'wrong password', change: 'password_hash = password_hash' },
  { name: 'disabled account', change: 'disabled_at = now()' },
  { name: 'no password', change: 'password_hash = null' },
  { name: 'hash that cannot be read', change: "password_hash = 'no hash at all'" },
];

/** As Django made them in 2017, in 2021, and with Argon2 before 2020; the last is dearer than today's hash. */
const IMPORTED_KINDS: readonly Kind[] = [
  { name: 'PBKDF2, 36,000 rounds', change: `password_hash = 'pbkdf2_sha256$36000$salt$${DIGEST}='` },
  { name: 'Argon2i, 512 KiB', change: `password_hash = 'argon2$argon2i$v=19$m=512,t=2,p=2$${SALT}$${DIGEST}'` },
  { name: 'PBKDF2, 260,000 rounds', change: `password_hash = 'pbkdf2_sha256$260000$salt$${DIGEST}='` },
];

interface Target extends Kind {
  readonly phoneNumber: string;
}

interface Situation {
  readonly name: string;
  readonly targets: readonly Target[];
  /** A service that has just begun to run, every so many rounds. */
  readonly isCold: boolean;
  /** Logins of others beside it. */
  readonly isBusy: boolean;
}

type Samples = ReadonlyMap<string, number[]>;

async function createTargets({ t }: BenchContext, { stack, authUrls }: BenchStack): Promise<Target[]> {
  const kinds = [...OWN_KINDS, ...IMPORTED_KINDS];
  const accounts = await registerMany(t, authUrls, kinds.length);
  for (const [at, { change }] of kinds.entries()) {
    const id = accounts[at]?.user_id;
    if (change === null) await stack.database.query('delete from users where id = $1', [id]);
    else await stack.database.query(`update users set ${change} where id = $1`, [id]);
  }
  return kinds.map((kind, at) => ({ ...kind, phoneNumber: accounts[at]?.phone_number ?? '' }));
}

async function measureRefusal({ connection }: AccountClient, phoneNumber: string): Promise<number> {
  const startedAt = nowMs();
  const answer = await connection.post('/api/login/', { phone_number: phoneNumber, password: WRONG_PASSWORD });
  if (answer.status !== 401) throw new Error(`a wrong password was answered ${answer.status}: ${answer.body}`);
  return answer.receivedAt - startedAt;
}

/** In an order that is another in every round: whatever comes after something slow, comes there by chance. */
function shuffle<Item>(items: readonly Item[]): Item[] {
  return items.map((item) => ({ item, key: Math.random() })).sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Logs others in, again and again, until it is told to stop. */
function keepBusy(clients: readonly AccountClient[], phoneNumber: string): () => Promise<unknown> {
  let isOver = false;
  const work = clients.map(async (client) => {
    while (!isOver) await client.logIn(phoneNumber);
  });
  return () => {
    isOver = true;
    return Promise.all(work);
  };
}

async function measureSituation(context: BenchContext, bench: BenchStack, situation: Situation): Promise<Samples> {
  const { t, options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, concurrency = CONCURRENCY_DEFAULT } = options;
  const { name, targets, isCold, isBusy } = situation;
  const samples = new Map(targets.map((target) => [target.name, [] as number[]]));
  const busy = isBusy ? await registerAndKeepBusy(context, bench, concurrency) : null;
  let [client] = await openClients(t, bench.authUrls, 1);
  if (client === undefined) throw new Error('no client');
  // Not measured: compiling, connections, and the service noticing which kinds of hashes there are.
  if (!isCold) for (const { phoneNumber } of [...targets, ...targets]) await measureRefusal(client, phoneNumber);
  for (let round = 0; round < rounds; round += 1) {
    if (isCold && round % COLD_ROUNDS_PER_START === 0) {
      client.connection.close();
      await bench.stack.auth.restart();
      client = (await openClients(t, bench.authUrls, 1))[0] ?? client;
    }
    for (const target of shuffle(targets)) {
      samples.get(target.name)?.push(await measureRefusal(client, target.phoneNumber));
    }
  }
  client.connection.close();
  await busy?.();
  progress(`${name}: ${rounds} of each kind`);
  return samples;
}

async function registerAndKeepBusy(
  { t }: BenchContext,
  { authUrls }: BenchStack,
  concurrency: number,
): Promise<() => Promise<unknown>> {
  const clients = await openClients(t, authUrls, concurrency);
  const phoneNumber = '+33698000000';
  await clients[0]?.register(phoneNumber);
  return keepBusy(clients, phoneNumber);
}

interface Comparison {
  readonly name: string;
  readonly samples: readonly number[];
  readonly ratio: number;
  readonly p: number;
}

function compare(samples: Samples): Comparison[] {
  const reference = samples.get(UNKNOWN.name) ?? [];
  return [...samples].map(([name, ofKind]) => ({
    name,
    samples: ofKind,
    ratio: median(ofKind) / median(reference),
    p: name === UNKNOWN.name ? NaN : mannWhitneyP(ofKind, reference),
  }));
}

function tabulate(title: string, comparisons: readonly Comparison[]): Table {
  return {
    title,
    columns: [
      { name: 'login with' },
      { name: 'median ms', digits: 3 },
      { name: 'p10 ms', digits: 2 },
      { name: 'p90 ms', digits: 2 },
      { name: '÷ unknown', digits: 4 },
      { name: 'Mann-Whitney p', digits: 3 },
      { name: 'samples' },
    ],
    rows: comparisons.map(({ name, samples, ratio, p }): Cell[] => [
      name,
      median(samples),
      percentile(samples, 0.1),
      percentile(samples, 0.9),
      ratio,
      p,
      samples.length,
    ]),
  };
}

interface Verdict {
  readonly problems: string[];
  /** Medians that lie apart where the ranks do not: too few samples for what else the machine was doing. */
  readonly doubts: string[];
}

/** @param pMin the error of 1 in 100, shared by all comparisons: of a hundred equal things one seems different */
function judge(situation: string, comparisons: readonly Comparison[], pMin: number): Verdict {
  const describe = ({ name, ratio, p }: Comparison): string =>
    `${situation}, ${name}: median × ${ratio.toFixed(4)}, p = ${p.toPrecision(2)} against an unknown number`;
  const isFar = ({ ratio }: Comparison): boolean => ratio > MEDIAN_RATIO_MAX || ratio < 1 / MEDIAN_RATIO_MAX;
  return {
    problems: comparisons.filter(({ p }) => p <= pMin).map(describe),
    doubts: comparisons.filter((comparison) => comparison.p > pMin && isFar(comparison)).map(describe),
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const bench = await startBenchStack(context, { hashes: 'production' });
  const targets = await createTargets(context, bench);
  const imported = new Set(IMPORTED_KINDS.map(({ name }) => name));
  const own = targets.filter(({ name }) => !imported.has(name));
  const { database } = bench.stack;
  const situations: Situation[] = [
    { name: 'with imported hashes, warm', targets, isCold: false, isBusy: false },
    { name: 'with imported hashes, cold', targets, isCold: true, isBusy: false },
    { name: 'with imported hashes, busy', targets, isCold: false, isBusy: true },
    { name: 'own hashes only, cold', targets: own, isCold: true, isBusy: false },
    { name: 'own hashes only, warm', targets: own, isCold: false, isBusy: false },
  ];
  const results: { name: string; comparisons: Comparison[] }[] = [];
  for (const situation of situations) {
    if (situation.targets === own) {
      const isImported = "password_hash like 'pbkdf2%' or password_hash like 'argon2$%'";
      await database.query(`delete from users where ${isImported}`);
    }
    results.push({ name: situation.name, comparisons: compare(await measureSituation(context, bench, situation)) });
  }
  const count = results.reduce((sum, { comparisons }) => sum + comparisons.length - 1, 0);
  const verdicts = results.map(({ name, comparisons }) => judge(name, comparisons, P_MIN / count));
  return {
    tables: results.map(({ name, comparisons }) => tabulate(name, comparisons)),
    conditions: {
      ...bench.conditions,
      samples_of_each_kind: context.options.rounds ?? ROUNDS_DEFAULT,
      cold: `the first ${COLD_ROUNDS_PER_START} of each kind after a start of the service`,
      busy: `beside ${context.options.concurrency ?? CONCURRENCY_DEFAULT} clients that log in again and again`,
    },
    notes: [
      'Kinds take turns, in an order that changes by chance with each round; one connection, one request at a time.',
      `Of ${count} comparisons of equal things, one in a hundred has p below 0.01: each is held to ` +
        `p > ${(P_MIN / count).toPrecision(1)}. Medians should be within 5 %.`,
      ...verdicts.flatMap(({ doubts }) => doubts.map((doubt) => `Not decided, more samples or less beside it: ${doubt}`)),
    ],
    problems: verdicts.flatMap(({ problems }) => problems),
  };
}

export const loginTiming: BenchScenario = {
  name: 'login-timing',
  description: 'whether the time of a refused login tells anything about the account',
  options: [
    `--rounds (${ROUNDS_DEFAULT}, samples of each kind) --concurrency (${CONCURRENCY_DEFAULT}, logins beside it)`,
    '--hashes (production)',
  ],
  run,
};
