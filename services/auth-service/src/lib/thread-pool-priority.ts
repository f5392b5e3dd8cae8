import { readlink } from 'node:fs/promises';
import { getPriority, setPriority } from 'node:os';

/** The lowest that there is (setpriority(2)). */
const NICENESS_MAX = 19;

/** Asked at once: each goes to another thread, as long as others sleep. */
const QUESTIONS_AT_ONCE = 8;

/** Per thread. The pool hands out work in turns, so that two are enough; a thread that never answers stays as it is. */
const QUESTIONS_PER_THREAD_MAX = 50;

/**
 * The threads of libuv's pool, by the only way that tells them: each names itself (proc_thread-self(5)).
 * @throws Error where there is no such file, which is everywhere but on Linux
 */
async function findPoolThreads(poolSize: number): Promise<Set<number>> {
  const threads = new Set<number>();
  for (let asked = 0; threads.size < poolSize && asked < poolSize * QUESTIONS_PER_THREAD_MAX; asked += QUESTIONS_AT_ONCE) {
    const questions = Array.from({ length: QUESTIONS_AT_ONCE }, () => readlink('/proc/thread-self'));
    for (const path of await Promise.all(questions)) threads.add(Number(path.slice(path.lastIndexOf('/') + 1)));
  }
  return threads;
}

/**
 * Lets every other thread go before those that hash: the event loop, and the database where it is on the same cores.
 * They wait for a core about as long as a hash takes otherwise, while a hash hardly notices that it waits for them.
 * Where threads cannot be told (not Linux, no /proc) nothing is changed.
 * @param poolSize `UV_THREADPOOL_SIZE` that the process was started with
 * @param niceness how much lower than the process, 0 to 19
 * @returns how many threads have it now
 */
export async function lowerPoolPriority({ poolSize, niceness }: { poolSize: number; niceness: number }): Promise<number> {
  if (niceness === 0 || process.platform !== 'linux') return 0;
  const lowered = Math.min(NICENESS_MAX, getPriority() + niceness);
  const threads = await findPoolThreads(poolSize).catch(() => new Set<number>());
  for (const thread of threads) setPriority(thread, lowered);
  return threads.size;
}
