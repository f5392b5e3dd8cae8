import { monitorEventLoopDelay } from 'node:perf_hooks';
import { median } from '../statistics.ts';

/**
 * From here on the generator's own loop decides the figures: requests leave late and answers are seen late, whatever
 * the servers do. Lower would cry wolf on a machine whose cores are shared.
 */
const BUSY_SHARE_MAX = 0.85;

/** How finely the loop's delay is sampled. */
const DELAY_RESOLUTION_MS = 5;

export interface GeneratorUsage {
  readonly cpuSeconds: number;
  /** Share of the time in which the loop had something to do, or wanted a core for it. */
  readonly busyShare: number;
  /** How much later than due the loop came round, 99th percentile. */
  readonly delayP99Ms: number;
}

/** Watches this process, which makes the load: it must not be what is measured. */
export class GeneratorWatch {
  readonly #delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  readonly #cpuBefore = process.cpuUsage();
  readonly #loopBefore = performance.eventLoopUtilization();

  constructor() {
    this.#delay.enable();
  }

  stop(): GeneratorUsage {
    this.#delay.disable();
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    return {
      cpuSeconds: (user + system) / 1e6,
      busyShare: performance.eventLoopUtilization(this.#loopBefore).utilization,
      delayP99Ms: Math.max(0, this.#delay.percentile(99) / 1e6 - DELAY_RESOLUTION_MS),
    };
  }
}

/** Says whether the load generator was the bottleneck, over one or several periods. */
export function judgeGenerator(usages: readonly GeneratorUsage[]): string {
  const busyPercent = median(usages.map(({ busyShare }) => busyShare)) * 100;
  const delayMs = Math.max(...usages.map(({ delayP99Ms }) => delayP99Ms));
  const figures = `its loop was busy ${busyPercent.toFixed(0)} % of the time and ${delayMs.toFixed(1)} ms late (p99)`;
  return busyPercent > BUSY_SHARE_MAX * 100
    ? `THE LOAD GENERATOR WAS THE BOTTLENECK: ${figures}. The servers could have done more.`
    : `The load generator was not the bottleneck: ${figures}.`;
}
