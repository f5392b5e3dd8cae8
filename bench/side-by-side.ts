import type { LoopResult } from './load/closed-loop.ts';
import type { BenchContext } from './scenario.ts';
import { watchServers, type Usage, type WatchedServer } from './server-watch.ts';
import { median, percentile, spread } from './statistics.ts';
import type { Cell, Table } from './table.ts';

/** Something that is put under load beside others. */
export interface Side {
  readonly name: string;
  /** Names of the watched servers that do its work, what stands in front first. */
  readonly servers: readonly string[];
  /** Keeps it busy for so long. What it throws ends the run: a side that answers wrongly has no figure. */
  load(seconds: number): Promise<LoopResult>;
  /** Carries out a round of it, if there is more to do than that; a profile, for instance. */
  around?(measure: () => Promise<SideRound>): Promise<SideRound>;
}

export interface SideRound {
  readonly loop: LoopResult;
  readonly usage: Usage;
}

/** The rounds of each side, in the order of the sides; rounds of one number were neighbours in time. */
export interface Comparison {
  readonly sides: readonly Side[];
  readonly rounds: ReadonlyMap<Side, readonly SideRound[]>;
  readonly usages: readonly Usage[];
}

export interface ComparisonPlan {
  readonly sides: readonly Side[];
  readonly servers: readonly WatchedServer[];
  /** Of each side. */
  readonly rounds: number;
  readonly roundSeconds: number;
  /** Of each side, not measured: it is compiled and has its connections after it. */
  readonly warmUpSeconds: number;
}

/** Loads the sides by turns, and who begins changes too: what drifts over the run falls on all alike. */
export async function compareSides({ progress }: BenchContext, plan: ComparisonPlan): Promise<Comparison> {
  const { sides, servers, rounds, roundSeconds, warmUpSeconds } = plan;
  for (const side of sides) await side.load(warmUpSeconds);
  progress(`warm; ${rounds} rounds of ${roundSeconds.toFixed(1)} s for each of ${sides.length} sides`);
  const results = new Map<Side, SideRound[]>(sides.map((side) => [side, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < sides.length; turn += 1) {
      const side = sides[(round + turn) % sides.length];
      if (side === undefined) throw new RangeError('a turn of nobody');
      const measure = async (): Promise<SideRound> => {
        const stopWatch = watchServers(servers);
        const loop = await side.load(roundSeconds);
        return { loop, usage: stopWatch() };
      };
      results.get(side)?.push(await (side.around?.(measure) ?? measure()));
    }
    const rates = [...results].map(([{ name }, ended]) => `${name} ${ended.at(-1)?.loop.ratePerSecond.toFixed(0)}/s`);
    progress(`round ${round + 1}: ${rates.join(', ')}`);
  }
  return { sides, rounds: results, usages: [...results.values()].flat().map(({ usage }) => usage) };
}

function roundsOf({ rounds }: Comparison, side: Side): readonly SideRound[] {
  return rounds.get(side) ?? [];
}

/** Median of the rounds. */
export function rateOf(comparison: Comparison, side: Side): number {
  return median(roundsOf(comparison, side).map(({ loop }) => loop.ratePerSecond));
}

/** How one side stands to another, of each pair of neighbouring rounds. */
export function ratiosOf(comparison: Comparison, side: Side, to: Side): number[] {
  const others = roundsOf(comparison, to);
  return roundsOf(comparison, side).map(({ loop }, at) => loop.ratePerSecond / (others[at]?.loop.ratePerSecond ?? NaN));
}

/** Milliseconds of CPU of those servers for one request. */
function cpuMsPerRequest(rounds: readonly SideRound[], servers: readonly string[]): number {
  return median(
    rounds.map(({ loop, usage }) => {
      const seconds = servers.reduce((sum, name) => sum + (usage.cpuSeconds.get(name) ?? NaN), 0);
      return (seconds * 1000) / loop.count;
    }),
  );
}

/** The same of all servers and the generator: what a request costs the machine, whatever else it did meanwhile. */
function wholeCpuMsPerRequest(rounds: readonly SideRound[]): number {
  return median(
    rounds.map(({ loop, usage }) => {
      const servers = [...usage.cpuSeconds.values()].reduce((sum, seconds) => sum + seconds, 0);
      return ((servers + usage.generator.cpuSeconds) * 1000) / loop.count;
    }),
  );
}

/** Rates, costs and latencies of each side. */
export function tabulateSides(title: string, comparison: Comparison): Table {
  const rows = comparison.sides.map((side): Cell[] => {
    const rounds = roundsOf(comparison, side);
    const rates = rounds.map(({ loop }) => loop.ratePerSecond);
    const latenciesMs = rounds.flatMap(({ loop }) => loop.latenciesMs);
    return [
      side.name,
      median(rates),
      percentile(rates, 0),
      percentile(rates, 1),
      spread(rates),
      cpuMsPerRequest(rounds, side.servers.slice(0, 1)),
      cpuMsPerRequest(rounds, ['PostgreSQL']),
      wholeCpuMsPerRequest(rounds),
      percentile(latenciesMs, 0.5),
      percentile(latenciesMs, 0.99),
      rounds.reduce((sum, { loop }) => sum + loop.count, 0),
    ];
  });
  return {
    title,
    columns: [
      { name: 'side' },
      ...['per second (median)', 'min', 'max'].map((name) => ({ name, digits: 1 })),
      { name: 'spread', digits: 3 },
      ...['server', 'PostgreSQL', 'whole'].map((name) => ({ name: `${name} CPU ms each`, digits: 3 })),
      ...['p50 ms', 'p99 ms'].map((name) => ({ name, digits: 2 })),
      { name: 'count' },
    ],
    rows,
  };
}

/**
 * How the sides stand to each other. The last column compares what they cost the machine instead of how fast they were:
 * on a machine that is busy with other things too it says what the first would be on a calm one.
 */
export function tabulateRatios(comparison: Comparison, pairs: readonly (readonly [side: Side, to: Side])[]): Table {
  const rows = pairs.map(([side, to]): Cell[] => {
    const ratios = ratiosOf(comparison, side, to);
    const cost = (of: Side): number => wholeCpuMsPerRequest(roundsOf(comparison, of));
    const ends = [percentile(ratios, 0), percentile(ratios, 1)];
    return [`${side.name} ÷ ${to.name}`, median(ratios), ...ends, spread(ratios), cost(to) / cost(side)];
  });
  return {
    title: 'Ratios of neighbouring rounds',
    columns: [
      { name: 'ratio' },
      ...['median', 'min', 'max', 'spread', 'by CPU'].map((name) => ({ name, digits: 3 })),
    ],
    rows,
  };
}

/** What a reader of both tables has to know. */
export const comparisonNotes: readonly string[] = [
  'Server CPU: of the process that is asked. Whole CPU: of all servers and the load generator, so that of two sides on ' +
    'the same cores the one that costs half can be twice as fast. Medians of the rounds, from the kernel.',
  'spread: (max − min) ÷ median.',
];
