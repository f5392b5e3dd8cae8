import { setTimeout as sleep } from 'node:timers/promises';

export interface OpenLoopResult {
  /** From the first call to the moment when the last was due; answers may have come later. */
  readonly seconds: number;
  readonly begun: number;
  /** Calls that were due and were not made, because every worker was busy. */
  readonly missed: number;
}

/** Finer would only wake the generator more often; coarser would turn a rate into bursts. */
const TICK_MS = 4;

/**
 * Makes calls at a steady rate, whether or not earlier ones have ended: as people come to a door, not as they queue.
 * @param perform one call of that worker; what it throws ends the loop
 */
export async function runOpenLoop(
  workers: number,
  ratePerSecond: number,
  seconds: number,
  perform: (worker: number) => Promise<void>,
): Promise<OpenLoopResult> {
  const idle = Array.from({ length: workers }, (_, worker) => worker);
  const onTheirWay = new Set<Promise<void>>();
  let missed = 0;
  let begun = 0;
  const startedAt = performance.now();
  const total = Math.round(ratePerSecond * seconds);
  while (begun + missed < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1_000) * ratePerSecond));
    while (begun + missed < due) {
      const worker = idle.shift();
      if (worker === undefined) {
        missed += 1;
        continue;
      }
      begun += 1;
      const call = perform(worker).then(() => {
        idle.push(worker);
        onTheirWay.delete(call);
      });
      call.catch(() => undefined); // it is awaited below
      onTheirWay.add(call);
    }
    await sleep(TICK_MS);
  }
  const elapsed = (performance.now() - startedAt) / 1_000;
  await Promise.all(onTheirWay);
  return { seconds: elapsed, begun, missed };
}
