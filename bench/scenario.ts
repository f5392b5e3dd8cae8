import type { TestContext } from '@infrasignal/testkit';
import type { Table } from './table.ts';

/** What the command line sets. Undefined leaves it to the scenario, whose description names what it heeds. */
export interface BenchOptions {
  readonly seconds: number | undefined;
  readonly rounds: number | undefined;
  readonly ratePerSecond: number | undefined;
  readonly sockets: number | undefined;
  readonly sessions: number | undefined;
  readonly concurrency: number | undefined;
  /** Password hashes as in production, or so cheap that they do not show. */
  readonly hashes: 'production' | 'cheap' | undefined;
  readonly isThroughGateway: boolean;
  /** True: a CPU profile of auth-service is taken while it is measured. */
  readonly isProfiled: boolean;
}

export interface BenchContext {
  /** Whatever is started is ended by it, also after Ctrl-C. */
  readonly t: TestContext;
  readonly options: BenchOptions;
  readonly progress: (line: string) => void;
}

/** One figure that a target is set for, as docs/performance.md shows it. */
export interface Headline {
  /** Of the table of targets in docs/performance.md, from 1. */
  readonly row: number;
  /** What is compared with what, in words. */
  readonly figure: string;
  readonly value: number;
  readonly unit: 'ratio' | 'KB' | 's' | 'ms' | '%';
  readonly target: number;
  readonly better: 'higher' | 'lower';
  /** What the chart draws beside each other: the name of each side, with its own unit in it, and its figure. */
  readonly sides?: Readonly<Record<string, number>>;
}

export interface BenchResult {
  /** None where the scenario answers to no target. */
  readonly headlines?: readonly Headline[];
  readonly tables: readonly Table[];
  /** What has to be known to read the figures: versions, settings, how much was sent. */
  readonly conditions: Readonly<Record<string, string | number>>;
  /** What a reader should keep in mind, for instance that the generator was the bottleneck. */
  readonly notes: readonly string[];
  /** What went wrong, as opposed to slowly: the command's exit code is 1 when there is any. */
  readonly problems: readonly string[];
}

export interface BenchScenario {
  /** As on the command line. */
  readonly name: string;
  /** One line for `--help`. */
  readonly description: string;
  /** The options that it heeds with its defaults, as lines for `--help`. */
  readonly options: readonly string[];
  run(context: BenchContext): Promise<BenchResult>;
}
