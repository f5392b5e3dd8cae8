import { nowMs } from '@infrasignal/testkit';

export interface LoopResult {
  readonly count: number;
  readonly seconds: number;
  /** Of each call, from its start to its end. */
  readonly latenciesMs: readonly number[];
  readonly ratePerSecond: number;
}

/**
 * Keeps `concurrency` workers busy for some time: each begins its next call when the last one has ended.
 * @param perform one call of that worker; what it throws ends the loop
 */
export async function runClosedLoop(
  concurrency: number,
  seconds: number,
  perform: (worker: number) => Promise<void>,
): Promise<LoopResult> {
  const latenciesMs: number[] = [];
  const startedAt = nowMs();
  const deadline = startedAt + seconds * 1000;
  await Promise.all(
    Array.from({ length: concurrency }, async (_, worker) => {
      for (let from = nowMs(); from < deadline; ) {
        await perform(worker);
        const to = nowMs();
        latenciesMs.push(to - from);
        from = to;
      }
    }),
  );
  const elapsed = (nowMs() - startedAt) / 1000;
  const count = latenciesMs.length;
  return { count, seconds: elapsed, latenciesMs, ratePerSecond: count / elapsed };
}
