/** The root of the clone. */
export const PROJECT_ROOT: string;

/** `.infrasignal` in the root of the clone. */
export const DEFAULT_STATE_DIRECTORY: string;

/** `.infrasignal-cluster` in the root of the clone: what one NATS server has stored, three would not find. */
export const CLUSTER_STATE_DIRECTORY: string;

/**
 * What was downloaded and can be downloaded again (pnpm, the nats-server binary). It lies beside the other
 * downloaded things, so that `npm run reset`, which removes data, leaves it, and `rm -rf node_modules` does not.
 */
export const TOOLS_DIRECTORY: string;

/** Where root keeps a copy of the PostgreSQL binaries when the database user cannot reach those of the clone. */
export const SHARED_CACHE_DIRECTORY: string;

/** Where root keeps the database when the database user cannot reach the clone. */
export const SHARED_STATE_DIRECTORY: string;

/** Twelve hexadecimal digits that stand for a path. */
export function pathKey(path: string): string;

/** True for the name of a file or folder that the stack makes in a state directory. */
export function isStateEntry(name: string): boolean;

export interface StatePaths {
  /** Everything else is below it, but for `external`. */
  readonly directory: string;
  /** Names the running stack. */
  readonly lock: string;
  /** What only matters while a stack runs. */
  readonly run: string;
  /** The children of the running stack, for the next start. */
  readonly ledger: string;
  /** The environment of a running auth-service, for `npm run infrasignal` (mode 600). */
  readonly operatorEnvironment: string;
  readonly logs: string;
  /** Only for the user who runs the stack (mode 700). */
  readonly secrets: string;
  readonly nats: string;
  /** The database, unless `postgresLocation` names another place. */
  readonly postgres: string;
  /** A file that holds the path of the database. */
  readonly postgresLocation: string;
  /** Where the database is kept when its user cannot reach `directory`. */
  readonly external: string;
}

export function statePaths(directory: string): StatePaths;
