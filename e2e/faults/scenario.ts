import type { TestContext } from '@infrasignal/testkit';
import type { FaultRunResult } from './fault-run.ts';
import type { Random } from './random.ts';

export interface ScenarioContext {
  readonly t: TestContext;
  readonly random: Random;
  /** How many kills; a scenario with a fixed number of faults ignores it. */
  readonly kills: number;
  /** True: in its real size, with the settings of production. False: over in seconds, for every test run. */
  readonly isFull: boolean;
  /** For how long the broker recognises repeats, in seconds, where it matters; undefined: the scenario's own choice. */
  readonly windowSeconds?: number | undefined;
  readonly progress: (line: string) => void;
}

/** One kind of fault, with what has to hold after it. */
export interface Scenario {
  /** For instance `F1`. */
  readonly id: string;
  readonly title: string;
  /**
   * For a scenario that not every machine can run: tries, and says why it cannot be run here; null: it can. Then it is
   * reported as skipped, with the reason, and never as passed.
   */
  readonly findObstacle?: () => Promise<string | null>;
  /** True: for most of it something is waited for, with a core or both idle. In test runs its control runs meanwhile. */
  readonly isMostlyWaiting?: boolean;
  run(context: ScenarioContext): Promise<FaultRunResult>;
  /** The same with a part that is broken on purpose, by the harness: the checks have to notice. */
  readonly control: NegativeControl;
}

/** Users with sockets: load L, and in short runs as many as show the same in seconds. */
export const LOADED_USERS = { full: 100, short: 30 };

/**
 * After so many faults of the broker in a row everything is let recover, and is judged by how long that takes. While it is
 * up for a third of the time only, the relay is not through with what comes: the sum of a hundred would be judged as one.
 */
export const BROKER_FAULTS_IN_A_ROW = 10;

/** A broken part loses for good: when nothing comes through any more, there is no point in waiting for what it lost. */
export const CONTROL_PATIENCE_MS = 1_000;

export interface NegativeControl {
  /** What is broken. */
  readonly title: string;
  /** Each has to match a violation, written as `I1 user 7: …`. */
  readonly symptoms: readonly RegExp[];
  run(context: ScenarioContext): Promise<FaultRunResult>;
}
