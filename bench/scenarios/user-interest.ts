import { EVENTS_STREAM, toExampleEvent, userLogin } from '@infrasignal/shared';
import { startServiceProcess, startTestNats, waitFor, type ServiceProcess } from '@infrasignal/testkit';
import { jetstream, jetstreamManager, type JetStreamClient } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCpuSeconds, readMemoryMib } from '../process-usage.ts';
import type { BenchContext, BenchResult, BenchScenario } from '../scenario.ts';
import { describeUsage, watchServers, type Usage, type WatchedServer } from '../server-watch.ts';
import { median, spread } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';

/** Users that one node asks for; the largest is more than a node has sockets. */
const INTERESTS = [1_000, 10_000, 50_000];

const ROUNDS_DEFAULT = 5;
const SECONDS_DEFAULT = 30;
const RATE_DEFAULT = 2_000;

/** Not measured, of each kind. */
const WARM_UP_SECONDS = 1;

/** Finer would only wake this process more often; coarser would turn a rate into bursts. */
const TICK_MS = 4;

/** `plain`: a stream that republishes nothing. `own`: of users that the node asked for. `foreign`: of others. */
const KINDS = ['plain', 'own', 'foreign'] as const;
type Kind = (typeof KINDS)[number];

interface Scene {
  readonly js: JetStreamClient;
  readonly node: ServiceProcess;
  readonly servers: readonly WatchedServer[];
  readonly natsPid: number;
}

interface Setup {
  readonly interests: number;
  readonly seconds: number;
  readonly nodeCpuSeconds: number;
  readonly natsCpuSeconds: number;
  readonly nodeMib: number;
  readonly natsMib: number;
  readonly endSeconds: number;
}

interface Period {
  readonly kind: Kind;
  readonly events: number;
  readonly usage: Usage;
}

async function ask<Answer>(node: ServiceProcess, path: string, body?: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(`${node.url}${path}`, init);
  if (response.status !== 200) throw new Error(`${path}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

async function setScene({ t }: BenchContext): Promise<Scene> {
  const nats = await startTestNats(t);
  const broker = await connect({ servers: nats.url });
  t.teardown(() => broker.close());
  const { streams } = await jetstreamManager(broker);
  // In memory: how fast a disk is does not matter here.
  const inMemory = { ...EVENTS_STREAM, storage: 'memory', num_replicas: 1 } as const;
  const republish = { src: 'users.>', dest: 'live.users.>' };
  await streams.add({ ...inMemory, subjects: ['users.>'], republish });
  await streams.add({ ...inMemory, name: 'PLAIN', subjects: ['plain.users.>'] });
  const node = await startServiceProcess(t, {
    entry: new URL('../peers/interest-node.ts', import.meta.url),
    env: { NATS_URL: nats.url },
  });
  const servers = [
    { name: 'nats-server', pid: nats.pid, hasChildren: false },
    { name: 'node', pid: node.pid, hasChildren: false },
  ];
  return { js: jetstream(broker), node, servers, natsPid: nats.pid };
}

async function measureSetup({ node, natsPid }: Scene, interests: number, isKept: boolean): Promise<Setup> {
  const before = { cpu: readCpuSeconds(natsPid), nats: readMemoryMib(natsPid), node: readMemoryMib(node.pid) };
  const { seconds, cpuSeconds } = await ask<{ seconds: number; cpuSeconds: number }>(node, '/subscribe', {
    firstUserId: 1,
    count: interests,
  });
  const natsCpuSeconds = readCpuSeconds(natsPid) - before.cpu;
  const [natsMib, nodeMib] = [readMemoryMib(natsPid) - before.nats, readMemoryMib(node.pid) - before.node];
  const end = isKept ? { seconds: NaN } : await ask<{ seconds: number }>(node, '/unsubscribe', {});
  return { interests, seconds, nodeCpuSeconds: cpuSeconds, natsCpuSeconds, nodeMib, natsMib, endSeconds: end.seconds };
}

/** Publishes at a steady rate, as auth-service would. */
async function publish({ js }: Scene, kind: Kind, ratePerSecond: number, seconds: number): Promise<number> {
  const total = Math.round(ratePerSecond * seconds);
  const most = INTERESTS.at(-1) ?? 1;
  const startedAt = performance.now();
  const answers: Promise<unknown>[] = [];
  while (answers.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1_000) * ratePerSecond));
    while (answers.length < due) {
      const userId = 1 + (kind === 'foreign' ? most : 0) + (answers.length % most);
      const subject = `${kind === 'plain' ? 'plain.' : ''}users.${userId}.${userLogin.type}`;
      const id = randomUUID();
      answers.push(js.publish(subject, JSON.stringify({ ...toExampleEvent(userLogin, 1), id }), { msgID: id }));
    }
    await sleep(TICK_MS);
  }
  await Promise.all(answers);
  return total;
}

async function measure(scene: Scene, kind: Kind, ratePerSecond: number, seconds: number): Promise<Period> {
  const before = await ask<{ count: number }>(scene.node, '/received');
  const stopWatch = watchServers(scene.servers);
  const events = await publish(scene, kind, ratePerSecond, seconds);
  const usage = stopWatch();
  const expected = before.count + (kind === 'own' ? events : 0);
  const isThere = async (): Promise<boolean> =>
    (await ask<{ count: number }>(scene.node, '/received')).count === expected;
  await waitFor(isThere, { description: `${expected} messages, and no other, to be at the node` });
  return { kind, events, usage };
}

function tabulateSetups(setups: readonly Setup[]): Table {
  const perInterest = (value: number, { interests }: Setup): number => (value / interests) * 1e6;
  return {
    title: 'Asking for users: one subscription each, in one connection',
    columns: [
      { name: 'users' },
      ...['seconds', 'and to end them'].map((name) => ({ name, digits: 3 })),
      ...['µs each', 'node CPU µs', 'nats-server CPU µs', 'node KiB each', 'nats-server KiB each'].map((name) => ({
        name,
        digits: 2,
      })),
    ],
    rows: setups.map((setup): Cell[] => [
      setup.interests, setup.seconds, setup.endSeconds, perInterest(setup.seconds, setup),
      perInterest(setup.nodeCpuSeconds, setup), perInterest(setup.natsCpuSeconds, setup),
      (setup.nodeMib * 1_024) / setup.interests, (setup.natsMib * 1_024) / setup.interests,
    ]),
  };
}

function tabulateEvents(periods: readonly Period[]): Table {
  const meanings = { plain: 'a stream that republishes nothing', own: 'of a user asked for', foreign: 'of anybody else' };
  return {
    title: `CPU for one event, with ${INTERESTS.at(-1)} users asked for`,
    columns: [
      { name: 'event' },
      { name: 'nats-server µs', digits: 1 },
      { name: 'spread', digits: 2 },
      { name: 'node µs', digits: 1 },
      { name: 'spread', digits: 2 },
    ],
    rows: KINDS.map((kind): Cell[] => {
      const own = periods.filter((period) => period.kind === kind);
      const costs = (server: string): number[] =>
        own.map(({ usage, events }) => ((usage.cpuSeconds.get(server) ?? NaN) / events) * 1e6);
      const [nats, node] = [costs('nats-server'), costs('node')];
      return [meanings[kind], median(nats), spread(nats), median(node), kind === 'own' ? spread(node) : null];
    }),
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, ratePerSecond = RATE_DEFAULT } = options;
  const scene = await setScene(context);
  await measureSetup(scene, INTERESTS[0] ?? 1, false); // not measured: everything is compiled after it
  const setups: Setup[] = [];
  for (const [at, interests] of INTERESTS.entries()) {
    setups.push(await measureSetup(scene, interests, at === INTERESTS.length - 1));
    progress(`${interests} users asked for in ${setups.at(-1)?.seconds.toFixed(3)} s`);
  }
  const periods: Period[] = [];
  for (const kind of KINDS) await measure(scene, kind, ratePerSecond, WARM_UP_SECONDS);
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of KINDS) periods.push(await measure(scene, kind, ratePerSecond, seconds / rounds / KINDS.length));
  }
  const usage = describeUsage(scene.servers, periods.map((period) => period.usage));
  return {
    tables: [tabulateSetups(setups), tabulateEvents(periods), usage.table],
    conditions: {
      processes: 'nats-server (streams in memory), a node that asks for users and counts, this process, which publishes',
      republish: 'users.> → live.users.>',
      events_per_second: ratePerSecond,
      rounds,
      seconds_of_each_period: seconds / rounds / KINDS.length,
    },
    notes: [...usage.notes, 'Nothing of this is built: it is what the next step would rest on; see docs/scaling.md.'],
    problems: [],
  };
}

export const userInterest: BenchScenario = {
  name: 'user-interest',
  description: 'what it would cost at the broker to send nodes only what their users are to see',
  options: [
    `--rounds (${ROUNDS_DEFAULT}) --seconds (${SECONDS_DEFAULT}, all periods together)`,
    `--rate (${RATE_DEFAULT}) events a second`,
  ],
  run,
};
