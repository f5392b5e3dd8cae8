import {
  createTestDatabase,
  startTestNats,
  ROOMY_AUTH_LIMITS,
  type TestDatabase,
  type TestNats,
} from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { migrateDatabase } from '../src/db/migrate.ts';

export interface TestContext {
  teardown(handler: () => unknown): unknown;
}

/**
 * The environment of an auth-service under test: real servers, hashes as cheap as they get, no limit on logins, and a
 * database that may take as long as a busy machine does. A test about one of these limits sets it itself.
 */
export function testEnvironment(servers: { databaseUrl: string; natsUrl: string }): Record<string, string> {
  return {
    DATABASE_URL: servers.databaseUrl,
    NATS_URL: servers.natsUrl,
    SECRET_KEY: 'a test key that is long enough to be one: 0123456789',
    ARGON2_MEMORY_KIB: '256',
    ARGON2_ITERATIONS: '1',
    LOG_LEVEL: 'silent',
    ...ROOMY_AUTH_LIMITS,
    // Not among the limits above: the fault scenarios use those too, and judge how soon the service is well again.
    DATABASE_CONNECT_MS_MAX: '60000',
    DATABASE_STATEMENT_MS_MAX: '60000',
  };
}

/** A migrated database of the test's own. */
export function createAuthDatabase(t: TestContext): Promise<TestDatabase> {
  const migrationsFolder = new URL('../migrations', import.meta.url);
  return createTestDatabase(t, { migrate: migrateDatabase, migrationsFolder });
}

export interface AuthFixture {
  readonly app: FastifyInstance;
  readonly database: TestDatabase;
  readonly nats: TestNats;
}

/** An auth-service in this process on a database and a broker of its own; call it with `app.inject`. */
export async function startAuth(t: TestContext, environment: Record<string, string> = {}): Promise<AuthFixture> {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const base = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  const app = await buildApp(loadConfig({ ...base, ...environment }));
  t.teardown(() => app.close());
  await app.ready();
  return { app, database, nats };
}

/** A password that no list of common ones has. */
export const GOOD_PASSWORD = 'correct horse battery staple';
