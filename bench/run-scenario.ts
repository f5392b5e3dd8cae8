import { Teardowns } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions, BenchResult, BenchScenario } from './scenario.ts';

/** Ctrl-C, or a polite request to end. */
export class InterruptedError extends Error {}

/** After Ctrl-C, a start that is under way gets this long to fail, so that what it still started is known and ended. */
const SETTLE_TIMEOUT_MS = 10_000;

/** Runs a scenario and ends all that it started, however it goes. @throws InterruptedError */
export async function runScenario(
  scenario: BenchScenario,
  options: BenchOptions,
  progress: (line: string) => void,
): Promise<BenchResult> {
  const t = new Teardowns();
  let isInterrupted = false;
  let interrupt = (): void => undefined;
  const interruption = new Promise<never>((_, reject) => {
    interrupt = () => {
      if (isInterrupted) process.exit(130); // asked twice; the reaper ends what is left
      isInterrupted = true;
      reject(new InterruptedError('interrupted'));
    };
  });
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const running = scenario.run({ t, options, progress });
  try {
    return await Promise.race([running, interruption]);
  } catch (error) {
    if (error instanceof InterruptedError) {
      progress('ending what was started …');
      await t.run();
      const settled = running.catch(() => undefined);
      await Promise.race([settled, sleep(SETTLE_TIMEOUT_MS, undefined, { ref: false })]);
    }
    throw error;
  } finally {
    await t.run();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
