import { commonErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import pg from 'pg';

/** How long the database may take. */
export interface DatabaseLimits {
  /** To give a connection, in milliseconds, however long one has to wait for it. */
  readonly connectMsMax: number;
  /** To answer one statement, in milliseconds. */
  readonly statementMsMax: number;
}

export interface PoolOptions extends DatabaseLimits {
  readonly databaseUrl: string;
  readonly connectionsMax: number;
  /** How many may wait for a connection; the others are refused at once. */
  readonly waitingMax: number;
  /** As `pg_stat_activity` shows it. */
  readonly applicationName: string;
  /** Told of every connection that was lost. */
  readonly onLost: (error: Error) => void;
}

/** Beyond the limit of the server by a fifth: for one that cannot even say that a statement took too long. */
const SILENCE_FACTOR = 1.2;

const SERVER_SETTINGS = {
  // The server finds out within 30 s that the machine at the other end is gone, or the way to it; its own default is two
  // hours, for which each lost connection would take one of the few that there are, and keep what it has locked.
  tcp_keepalives_idle: 15,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
  // Of a table that fits on a page, reading all of it is the cheapest plan. One that is kept (prepared statements) would
  // still read all of it when it has grown, until the next ANALYZE: 172 ms for one row of 200,000. Every statement here
  // goes by an index, or there is none for it; then the table is read all the same.
  enable_seqscan: 'off',
  // What has no index looks immensely expensive then, to PostgreSQL 17 and before: worth compiling, which takes longer
  // than any statement of ours.
  jit: 'off',
};

/** The queue is short again by then, and those who were refused together do not come back together with the first. */
const RETRY_AFTER_SECONDS = 1;

/** Refused because too many wait already: the database may be well. */
function overloaded(): ProblemError {
  const headers = { 'retry-after': String(RETRY_AFTER_SECONDS) };
  return new ProblemError(commonErrors.service_unavailable, { headers });
}

type Connected = (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void;

/**
 * pg's own queue has no end: before a database that does not answer, every request that comes would wait in it for its
 * three seconds, with all that it holds in memory.
 */
class BoundedPool extends pg.Pool {
  readonly #waitingMax: number;

  constructor(options: pg.PoolConfig, waitingMax: number) {
    super(options);
    this.#waitingMax = waitingMax;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): Promise<pg.PoolClient> | void {
    const isRefused = this.waitingCount >= this.#waitingMax;
    if (callback === undefined) return isRefused ? Promise.reject(overloaded()) : super.connect();
    if (isRefused) callback(overloaded(), undefined, () => undefined);
    else super.connect(callback);
  }
}

/** Adds settings of the server to those that an operator may have put into the URL, which would replace ours. */
function withServerSettings(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  const settings = Object.entries(SERVER_SETTINGS).map(([name, value]) => `-c ${name}=${value}`);
  const given = url.searchParams.get('options');
  url.searchParams.set('options', [...settings, ...(given === null ? [] : [given])].join(' '));
  return url.href;
}

/** Connections to PostgreSQL that survive the loss of any backend, and never wait for ever. */
export function createPool(options: PoolOptions): pg.Pool {
  const { databaseUrl, connectionsMax, waitingMax, applicationName, connectMsMax, statementMsMax, onLost } = options;
  const pool = new BoundedPool(
    {
      connectionString: withServerSettings(databaseUrl),
      max: connectionsMax,
      application_name: applicationName,
      connectionTimeoutMillis: connectMsMax,
      statement_timeout: statementMsMax,
      query_timeout: Math.ceil(statementMsMax * SILENCE_FACTOR),
      // Between two statements of a transaction nothing takes long: a client that says nothing has gone, or stands still.
      idle_in_transaction_session_timeout: statementMsMax,
      keepAlive: true,
    },
    waitingMax,
  );
  // Without listeners a lost backend is an uncaught exception: the pool replaces an idle client by itself, and a query
  // in flight on a busy one rejects.
  pool.on('error', onLost);
  pool.on('connect', (client) => client.on('error', onLost));
  return pool;
}
