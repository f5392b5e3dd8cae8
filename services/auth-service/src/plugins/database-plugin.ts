import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import pg from 'pg';
import * as schema from '../db/schema/index.ts';

export type Database = NodePgDatabase<typeof schema>;

declare module 'fastify' {
  interface FastifyInstance {
    db: Database;
    pool: pg.Pool;
  }
}

export interface DatabaseOptions {
  readonly databaseUrl: string;
  readonly poolMax: number;
}

/** 3 s to get a connection: longer than any failover blip worth waiting for, shorter than a client's patience. */
const CONNECT_TIMEOUT_MS = 3_000;

/** 5 s for one statement: all of ours are single-row; one that takes longer waits for a lock or a dead server. */
const STATEMENT_TIMEOUT_MS = 5_000;

/** The client's own limit, for a server that cannot even say that it timed out. */
const QUERY_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 1_000;

async function database(app: FastifyInstance, options: DatabaseOptions): Promise<void> {
  const pool = new pg.Pool({
    connectionString: options.databaseUrl,
    max: options.poolMax,
    application_name: 'infrasignal-auth',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
  });
  // Without listeners a lost backend is an uncaught exception: the pool replaces an idle client by itself, and a
  // query in flight on a busy one rejects.
  pool.on('error', (error) => app.log.warn({ err: error }, 'idle database connection lost'));
  pool.on('connect', (client) => client.on('error', (error) => app.log.warn({ err: error }, 'connection lost')));

  app.decorate('pool', pool);
  app.decorate('db', drizzle(pool, { schema }));
  app.addReadinessCheck('database', async () => {
    try {
      await pool.query('select 1');
      return null;
    } catch {
      return 'the database does not answer';
    }
  });
  app.addHook('onClose', () => pool.end());
}

/** One pool of connections to PostgreSQL, `app.db` for queries. Survives the loss of any backend. */
export const databasePlugin = fp(database, { name: 'database', dependencies: ['health'], fastify: '5.x' });
