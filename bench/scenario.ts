import type { TestContext } from '@infrasignal/testkit';

/** What the command line sets; each scenario says which of them it heeds. */
export interface BenchOptions {
  readonly seconds: number;
  readonly ratePerSecond: number;
  readonly sockets: number;
  /** Hashes as in production, or so cheap that they do not show. */
  readonly hashes: 'production' | 'cheap';
  readonly isThroughGateway: boolean;
}

/** One line of the table: what was measured, in milliseconds. */
export interface Measurement {
  readonly name: string;
  readonly samples: readonly number[];
}

export interface BenchResult {
  readonly measurements: readonly Measurement[];
  /** What has to be known to read the figures: versions, settings, how much was sent. */
  readonly conditions: Readonly<Record<string, string | number>>;
}

export interface BenchScenario {
  /** As on the command line. */
  readonly name: string;
  readonly title: string;
  run(context: { t: TestContext; options: BenchOptions; progress: (line: string) => void }): Promise<BenchResult>;
}
