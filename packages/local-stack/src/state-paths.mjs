// Where the local stack keeps things. Plain JavaScript, because `npm run reset` uses it without a compiler;
// state-paths.d.mts describes it to TypeScript.
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROJECT_ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
export const DEFAULT_STATE_DIRECTORY = join(PROJECT_ROOT, '.infrasignal');
export const CLUSTER_STATE_DIRECTORY = join(PROJECT_ROOT, '.infrasignal-cluster');
export const TOOLS_DIRECTORY = join(PROJECT_ROOT, 'node_modules/.cache/infrasignal');
export const SHARED_CACHE_DIRECTORY = '/var/cache/infrasignal';
export const SHARED_STATE_DIRECTORY = '/var/lib/infrasignal';

export function pathKey(path) {
  return createHash('sha256').update(path).digest('hex').slice(0, 12);
}

// `.initdb-…` and `stack.lock.…` are drafts that a crash may have left.
const STATE_ENTRY = /^(run|logs|secrets|nats|postgres|postgres-location|stack\.lock(\..+)?|\.initdb-.+)$/;

export function isStateEntry(name) {
  return STATE_ENTRY.test(name);
}

export function statePaths(directory) {
  const run = join(directory, 'run');
  return {
    directory,
    lock: join(directory, 'stack.lock'),
    run,
    ledger: join(run, 'processes.json'),
    operatorEnvironment: join(run, 'auth-service.json'),
    logs: join(directory, 'logs'),
    secrets: join(directory, 'secrets'),
    nats: join(directory, 'nats'),
    postgres: join(directory, 'postgres'),
    postgresLocation: join(directory, 'postgres-location'),
    external: join(SHARED_STATE_DIRECTORY, pathKey(directory)),
  };
}
