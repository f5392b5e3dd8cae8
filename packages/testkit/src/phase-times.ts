const isTold = process.env.TEST_TIMES === '1';

/**
 * With `TEST_TIMES=1` says where the time of a test goes: a comment (`# time`) with how long this phase took and, in
 * seconds of a processor, what this process itself did in it.
 */
export async function timePhase<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  if (!isTold) return work();
  const startedAt = performance.now();
  const used = process.cpuUsage();
  try {
    return await work();
  } finally {
    const { user, system } = process.cpuUsage(used);
    const seconds = (performance.now() - startedAt) / 1_000;
    const usedSeconds = (user + system) / 1_000_000;
    process.stdout.write(`# time ${seconds.toFixed(2)} s (${usedSeconds.toFixed(2)} s here): ${name}\n`);
  }
}
