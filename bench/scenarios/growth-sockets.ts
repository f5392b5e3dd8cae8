import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NotifyPlace, type NotifyNode } from '../load/notify-place.ts';
import type { BenchContext, BenchResult, BenchScenario, Headline } from '../scenario.ts';
import { describeUsage, watchServers, type Usage } from '../server-watch.ts';
import { median, spread } from '../statistics.ts';
import type { Cell, Table } from '../table.ts';

const SOCKETS_FEW = 1_000;
const SOCKETS_MANY_DEFAULT = 20_000;
const ROUNDS_DEFAULT = 5;
const SECONDS_DEFAULT = 90;
const RATE_DEFAULT = 2_000;

/** Descriptors of a process that are no sockets of clients: its files, its port, the broker. */
const OTHER_DESCRIPTORS = 200;

/** Not measured, of each kind of period. */
const WARM_UP_SECONDS = 1;

/** Events of nobody who is here that are published as fast as it goes, in each of the rounds. */
const FLOOD_EVENTS = 20_000;

const COST_GROWTH_MAX = 1.3;

/** In each round: idle, own and foreign, in each of three places. */
const STEADY_PERIODS = 9;

/** Numbers of nodes for which the cost of an event is worked out. */
const NODE_COUNTS = [1, 2, 5, 10, 20];

/** What the nodes of a place do in a period. */
type Kind = 'idle' | 'own' | 'foreign' | 'flood';

interface Period {
  readonly node: NotifyNode;
  readonly kind: Kind;
  readonly events: number;
  readonly usage: Usage;
}

interface Places {
  readonly few: NotifyPlace;
  readonly many: NotifyPlace;
  readonly pair: NotifyPlace;
}

interface Plan {
  readonly rounds: number;
  readonly periodSeconds: number;
  readonly ratePerSecond: number;
}

/** How many sockets a process may have on this machine; Node itself raises its limit to the hard one. */
function readDescriptorsMax(): number {
  try {
    return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? Infinity);
  } catch {
    return Infinity; // no Linux
  }
}

/** One period: something happens in one place, and each of its nodes is told apart by what that was to it. */
async function measure(
  place: NotifyPlace,
  act: () => Promise<number>,
  kindOf: (node: NotifyNode) => Kind,
): Promise<Period[]> {
  const stopWatch = watchServers(place.servers);
  const events = await act();
  const usage = stopWatch();
  return place.nodes.map((node): Period => ({ node, kind: kindOf(node), events, usage }));
}

/** Everything once: first what happens at a steady rate, then what comes as fast as it goes. */
async function measureRound(
  { few, many, pair }: Places,
  { ratePerSecond, periodSeconds }: Omit<Plan, 'rounds'>,
): Promise<Period[]> {
  const periods: Period[] = [];
  for (const place of [few, many, pair]) {
    const [first] = place.nodes;
    if (first === undefined) throw new Error(`${place.name} has no node`);
    const idle = async (): Promise<number> => (await sleep(periodSeconds * 1_000), 0);
    const own = (): Promise<number> => place.publishSteadily(first, ratePerSecond, periodSeconds);
    const foreign = (): Promise<number> => place.publishSteadily(null, ratePerSecond, periodSeconds);
    periods.push(...(await measure(place, idle, () => 'idle')));
    // What is one node's own is foreign to the other.
    periods.push(...(await measure(place, own, (node) => (node === first ? 'own' : 'foreign'))));
    periods.push(...(await measure(place, foreign, () => 'foreign')));
    const flood = (): Promise<number> => place.floodWithForeign(first, FLOOD_EVENTS).then(() => FLOOD_EVENTS);
    periods.push(...(await measure(place, flood, () => 'flood')));
  }
  return periods;
}

class Figures {
  readonly #periods: readonly Period[];

  constructor(periods: readonly Period[]) {
    this.#periods = periods;
  }

  of(node: NotifyNode, kind: Kind): Period[] {
    return this.#periods.filter((period) => period.node === node && period.kind === kind);
  }

  /** Cores that a node takes while nothing happens: over all rounds, for it is near the kernel's steps of 10 ms. */
  idleCores(node: NotifyNode): number {
    const usages = this.of(node, 'idle').map(({ usage }) => usage);
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    return sum(usages.map((usage) => cpuSecondsOf(node, usage))) / sum(usages.map(({ seconds }) => seconds));
  }

  /** CPU microseconds of the node for one event, in each round, beyond what it takes while nothing happens. */
  eventCosts(node: NotifyNode, kind: Exclude<Kind, 'idle'>): number[] {
    const idleCores = kind === 'flood' ? 0 : this.idleCores(node);
    const periods = this.of(node, kind);
    return periods.map(({ usage, events }) => ((cpuSecondsOf(node, usage) - idleCores * usage.seconds) / events) * 1e6);
  }

  eventCost(node: NotifyNode, kind: Exclude<Kind, 'idle'>): number {
    return median(this.eventCosts(node, kind));
  }
}

function cpuSecondsOf({ name }: NotifyNode, { cpuSeconds }: Usage): number {
  return cpuSeconds.get(name) ?? NaN;
}

function tabulateCosts(figures: Figures, nodes: readonly NotifyNode[]): Table {
  const rows = nodes.map((node): Cell[] => {
    const [own, foreign] = [figures.eventCosts(node, 'own'), figures.eventCosts(node, 'foreign')];
    return [node.name, node.sockets, median(own), spread(own), median(foreign), spread(foreign),
      figures.idleCores(node) * 100, (figures.idleCores(node) / node.sockets) * 1e6];
  });
  return {
    title: 'CPU of a notify node, all its threads, for one event; without what it takes while nothing happens',
    columns: [
      { name: 'node' },
      { name: 'sockets' },
      { name: 'own event µs', digits: 1 },
      { name: 'spread', digits: 2 },
      { name: 'foreign event µs', digits: 1 },
      { name: 'spread', digits: 2 },
      { name: 'idle % of a core', digits: 2 },
      { name: 'idle µs/s each socket', digits: 2 },
    ],
    rows,
  };
}

/** What it is at which a node, reading what is for others, has no time for anything else. */
function tabulateSaturation(figures: Figures, places: readonly NotifyPlace[]): Table {
  const rows = places.flatMap(({ name, nodes: [node] }): Cell[][] => {
    if (node === undefined) return [];
    const costs = figures.eventCosts(node, 'flood');
    const periods = figures.of(node, 'flood');
    const cores = periods.map(({ usage }) => cpuSecondsOf(node, usage) / usage.seconds);
    const perSecond = periods.map(({ events, usage }) => events / usage.seconds);
    const broker = `nats-server (${name})`;
    const brokerCosts = periods.map(({ events, usage }) => ((usage.cpuSeconds.get(broker) ?? NaN) / events) * 1e6);
    const cost = median(costs);
    return [[node.name, 1e6 / cost, spread(costs), cost, median(perSecond), median(cores), median(brokerCosts)]];
  });
  return {
    title: `Foreign events as fast as they come, ${FLOOD_EVENTS} at a time`,
    columns: [
      { name: 'node' },
      { name: 'events/s of one core' },
      { name: 'spread', digits: 2 },
      { name: 'CPU µs each', digits: 1 },
      { name: 'events/s here' },
      { name: 'cores', digits: 2 },
      { name: 'nats-server CPU µs each', digits: 1 },
    ],
    rows,
  };
}

/** By arithmetic: with events spread evenly, each event of one node is read by all the others as well. */
function tabulateNodes(figures: Figures, node: NotifyNode): Table {
  const [own, foreign] = [figures.eventCost(node, 'own'), figures.eventCost(node, 'foreign')];
  const rows = NODE_COUNTS.map((count): Cell[] => {
    const all = own + (count - 1) * foreign;
    return [count, all, all / own, 1e6 / (own / count + foreign * (1 - 1 / count))];
  });
  return {
    title: 'Worked out from these: one event with a socket on one of several nodes, each reading everything',
    columns: [
      { name: 'nodes' },
      { name: 'CPU µs of all nodes', digits: 1 },
      { name: '÷ one node', digits: 2 },
      { name: 'events/s at which each node has one core full' },
    ],
    rows,
  };
}

function toHeadlines(figures: Figures, { few, many, pair }: Places): Headline[] {
  const [one, full, ofTwo] = [few.nodes[0], many.nodes[0], pair.nodes[0]];
  if (one === undefined || full === undefined || ofTwo === undefined) return [];
  const base = figures.eventCost(one, 'own');
  const compare = (what: string, node: NotifyNode, where: string): Headline => ({
    row: 12,
    figure: `cost per own event, ${what}`,
    value: figures.eventCost(node, 'own') / base,
    unit: 'ratio',
    target: COST_GROWTH_MAX,
    better: 'lower',
    sides: {
      [`${one.sockets} sockets on the only node, CPU µs`]: base,
      [`${node.sockets} sockets on ${where}, CPU µs`]: figures.eventCost(node, 'own'),
    },
  });
  return [
    compare(`${full.sockets} sockets ÷ ${one.sockets}`, full, 'the only node'),
    compare('two nodes ÷ one', ofTwo, 'one of two nodes'),
  ];
}

async function startPlaces(context: BenchContext, wanted: number): Promise<Places> {
  const many = Math.min(wanted, readDescriptorsMax() - OTHER_DESCRIPTORS);
  return {
    few: await NotifyPlace.start(context, 'one node, few sockets', [SOCKETS_FEW]),
    many: await NotifyPlace.start(context, 'one node, many sockets', [many]),
    pair: await NotifyPlace.start(context, 'two nodes', [SOCKETS_FEW, SOCKETS_FEW]),
  };
}

async function run(context: BenchContext): Promise<BenchResult> {
  const { options, progress } = context;
  const { rounds = ROUNDS_DEFAULT, seconds = SECONDS_DEFAULT, ratePerSecond = RATE_DEFAULT } = options;
  const places = await startPlaces(context, options.sockets ?? SOCKETS_MANY_DEFAULT);
  const { few, many, pair } = places;
  const nodes = [...few.nodes, ...many.nodes, ...pair.nodes];
  const plan = { rounds, ratePerSecond, periodSeconds: seconds / rounds / STEADY_PERIODS };
  await measureRound(places, { ...plan, periodSeconds: WARM_UP_SECONDS });
  const periods: Period[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    periods.push(...(await measureRound(places, plan)));
    const figures = new Figures(periods);
    const costs = nodes.map((node) => {
      const [own, foreign] = (['own', 'foreign'] as const).map((kind) => figures.eventCost(node, kind).toFixed(1));
      return `${node.name} ${own}/${foreign}`;
    });
    progress(`round ${round} of ${rounds}: own/foreign µs so far: ${costs.join(', ')}`);
  }
  const figures = new Figures(periods);
  const usages = [few, many, pair].map(({ nodes: own, servers }) => {
    const ofThese = periods.filter(({ node }) => own.includes(node)).map(({ usage }) => usage);
    return describeUsage(servers, [...new Set(ofThese)]);
  });
  const [one] = few.nodes;
  return {
    headlines: toHeadlines(figures, places),
    tables: [
      tabulateCosts(figures, nodes),
      tabulateSaturation(figures, [few, many]),
      ...(one === undefined ? [] : [tabulateNodes(figures, one)]),
      ...usages.map(({ table }) => table),
    ],
    conditions: {
      processes:
        'three brokers (streams in memory), notify-service × 1, × 1 and × 2, their clients, this process, which publishes',
      events_per_second: ratePerSecond,
      seconds_of_each_period: plan.periodSeconds,
      rounds,
      sockets: nodes.map(({ sockets }) => sockets).join(', '),
      pings: 'none',
    },
    notes: [
      ...new Set(usages.flatMap(({ notes }) => notes)),
      'Each socket is of a user of its own, and each event of one user. “own”: the user has a socket on this node; ' +
        '“foreign”: on none of this node’s.',
      ...((many.nodes[0]?.sockets ?? 0) < (options.sockets ?? SOCKETS_MANY_DEFAULT)
        ? [`A process may open ${readDescriptorsMax()} files here: hence no more than ${many.nodes[0]?.sockets} sockets on a node.`]
        : []),
    ],
    problems: [],
  };
}

export const growthSockets: BenchScenario = {
  name: 'growth-sockets',
  description: 'what an event costs a notify node: 1,000 and 20,000 sockets, one and two nodes, own and foreign',
  options: [
    `--sockets (${SOCKETS_MANY_DEFAULT} on the node with many) --rate (${RATE_DEFAULT}) events a second`,
    `--rounds (${ROUNDS_DEFAULT}) --seconds (${SECONDS_DEFAULT}, all steady periods together)`,
  ],
  run,
};
