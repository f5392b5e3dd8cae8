import { createHook } from 'node:async_hooks';
import type { TestContext } from './auth-fixture.ts';

export interface HashCounter {
  /** Computations of password hashes that began in this process since the last call. */
  take(): number;
}

/** The Argon2 and bcrypt libraries run each as one native asynchronous job, whose resource has no name of its own. */
const RESOURCES: ReadonlySet<string> = new Set(['undefined', 'PBKDF2REQUEST', 'SCRYPTREQUEST']);

/** Counts computations by what Node says of them. A test that asserts 0 first shows a request that counts 1. */
export function countHashes(t: TestContext): HashCounter {
  let count = 0;
  const hook = createHook({
    init: (_asyncId, type) => {
      if (RESOURCES.has(type)) count += 1;
    },
  }).enable();
  t.teardown(() => hook.disable());
  return {
    take: () => {
      const taken = count;
      count = 0;
      return taken;
    },
  };
}
