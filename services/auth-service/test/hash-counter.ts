import { createHook } from 'node:async_hooks';
import type { TestContext } from './auth-fixture.ts';

export interface HashCounter {
  /** Argon2 computations that began in this process since the last call. */
  take(): number;
}

/**
 * Counts Argon2 computations by what Node says of them: the library runs each as one native asynchronous job, whose
 * resource has no name of its own (`undefined`). A test that asserts 0 first shows a request that counts 1.
 */
export function countHashes(t: TestContext): HashCounter {
  let count = 0;
  const hook = createHook({
    init: (_asyncId, type) => {
      if (type === 'undefined') count += 1;
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
