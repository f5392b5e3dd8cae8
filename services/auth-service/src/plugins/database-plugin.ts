import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type pg from 'pg';
import { createPool, type DatabaseLimits } from '../db/pool.ts';
import * as schema from '../db/schema/index.ts';

/** Transactions are run by `inTransaction`, which gives their connection back whatever happens to it. */
export type Database = Omit<NodePgDatabase<typeof schema>, 'transaction'> & { readonly $client: pg.Pool };

declare module 'fastify' {
  interface FastifyInstance {
    /** For requests. */
    db: Database;
    /** The connections of `db`. */
    pool: pg.Pool;
    /** For what has to go on however many requests wait: the relay, the readiness, the metrics. */
    backgroundPool: pg.Pool;
  }
}

export interface DatabaseOptions extends DatabaseLimits {
  readonly databaseUrl: string;
  readonly poolMax: number;
  readonly waitingMax: number;
}

/** One for what the relay reads, one for what it marks meanwhile, and one for what is asked now and then. */
const BACKGROUND_CONNECTIONS = 3;

/** The relay, a probe or two and a scrape: more than that is a mistake. */
const BACKGROUND_WAITING_MAX = 20;

async function database(app: FastifyInstance, { poolMax, ...options }: DatabaseOptions): Promise<void> {
  const onLost = (error: Error): void => {
    app.log.warn({ err: error }, 'database connection lost');
  };
  const pool = createPool({ ...options, connectionsMax: poolMax, applicationName: 'infrasignal-auth', onLost });
  const backgroundPool = createPool({
    ...options,
    connectionsMax: BACKGROUND_CONNECTIONS,
    waitingMax: BACKGROUND_WAITING_MAX,
    applicationName: 'infrasignal-background',
    onLost,
  });

  app.decorate('pool', pool);
  app.decorate('backgroundPool', backgroundPool);
  app.decorate('db', drizzle(pool, { schema }));
  app.addReadinessCheck('database', async () => {
    try {
      await backgroundPool.query('select 1');
      return null;
    } catch {
      return 'the database does not answer';
    }
  });
  app.addHook('onClose', async () => {
    await Promise.all([pool.end(), backgroundPool.end()]);
  });
}

/** The connections to PostgreSQL, `app.db` for queries. Survives the loss of any backend. */
export const databasePlugin = fp(database, { name: 'database', dependencies: ['health'], fastify: '5.x' });
