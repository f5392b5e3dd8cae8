import { createHook } from 'node:async_hooks';
import type { TestContext } from './auth-fixture.ts';

export interface HashCounter {
  /** Computations of password hashes that began in this process since the last call. */
  take(): number;
}

/** The Argon2 and bcrypt libraries run each as one native asynchronous job, whose resource has no name of its own. */
const NATIVE = ['undefined'];

/** PBKDF2 and scrypt, which have names; PBKDF2 is also what a new connection to PostgreSQL logs in with. */
const OF_NODE = ['PBKDF2REQUEST', 'SCRYPTREQUEST'];

/**
 * Counts computations by what Node says of them. A test that asserts 0 first shows a request that counts 1.
 * @param of `all` also counts those of Node, where there is no database
 */
export function countHashes(t: TestContext, of: 'native' | 'all' = 'native'): HashCounter {
  const resources = new Set(of === 'all' ? [...NATIVE, ...OF_NODE] : NATIVE);
  let count = 0;
  const hook = createHook({
    init: (_asyncId, type) => {
      if (resources.has(type)) count += 1;
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
