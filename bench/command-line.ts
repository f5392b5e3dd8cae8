import { parseArgs } from 'node:util';
import type { BenchOptions, BenchScenario } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';

const NAME_WIDTH = 17;

function describe({ name, description, options }: BenchScenario): string {
  const indented = options.map((line) => ' '.repeat(NAME_WIDTH + 2) + line);
  return [`  ${name.padEnd(NAME_WIDTH)}${description}`, ...indented].join('\n');
}

export const HELP = `Usage: npm run bench -- [scenario …] [options]

${scenarios.map(describe).join('\n')}

  --seconds N         how long is measured
  --rounds N          how often something is done
  --rate N            requests a second
  --sockets N         authenticated sockets, one per user
  --sessions N        sessions, one per user
  --concurrency N     requests on their way at once
  --hashes KIND       password hashes: production, or cheap ones that do not show
  --through-gateway   clients speak to the gateway instead of the services
  --profile           takes CPU profiles of the service: where its time goes (its speed suffers)
  --json FILE         writes the results of all scenarios of this run into one file as well
  --publish           puts the results into docs/performance/ as well, which docs/performance.md is made from: only
                      of a machine that did nothing else meanwhile
  --help              this text

A scenario heeds the options under its name; in parentheses is what holds without them. Without a name all are run.
Everything runs as real processes on this machine. The figures say what this machine did beside what else it was doing;
about speed nothing is asserted. Each result is written as JSON to bench/results/.
Exit code: 0 all is as it must be, 1 a count is wrong, 2 wrong usage.`;

/** What was typed is not what this command understands. */
export class UsageError extends Error {}

export interface BenchCommand {
  readonly chosen: readonly BenchScenario[];
  readonly options: BenchOptions;
  readonly jsonPath: string | undefined;
  /** True: the results are what docs/performance.md shows from now on. */
  readonly isPublished: boolean;
}

/** Each with the largest value that still ends in reasonable time, and below the memory of a small machine. */
const LIMITS = {
  seconds: [5, 300],
  rounds: [1, 2_000],
  rate: [1, 5_000],
  sockets: [1, 10_000],
  sessions: [1, 5_000],
  concurrency: [1, 256],
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        rate: { type: 'string' },
        sockets: { type: 'string' },
        sessions: { type: 'string' },
        concurrency: { type: 'string' },
        hashes: { type: 'string' },
        'through-gateway': { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        json: { type: 'string' },
        publish: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** @returns null when help is wanted. @throws UsageError */
export function readCommandLine(args: readonly string[]): BenchCommand | null {
  const { values, positionals } = parse(args);
  if (values.help) return null;
  const toNumber = (name: keyof typeof LIMITS): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const [min, max] = LIMITS[name];
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new UsageError(`--${name} must be a whole number from ${min} to ${max}`);
  };
  const { hashes } = values;
  if (hashes !== undefined && hashes !== 'production' && hashes !== 'cheap') {
    throw new UsageError('--hashes must be production or cheap');
  }
  return {
    chosen: positionals.length === 0 ? scenarios : [...new Set(positionals)].map(findScenario),
    options: {
      seconds: toNumber('seconds'),
      rounds: toNumber('rounds'),
      ratePerSecond: toNumber('rate'),
      sockets: toNumber('sockets'),
      sessions: toNumber('sessions'),
      concurrency: toNumber('concurrency'),
      hashes,
      isThroughGateway: values['through-gateway'],
      isProfiled: values.profile,
    },
    jsonPath: values.json,
    isPublished: values.publish,
  };
}

function findScenario(name: string): BenchScenario {
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) throw new UsageError(`There is no scenario "${name}". --help names them all.`);
  return scenario;
}
