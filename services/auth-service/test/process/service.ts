import { startServiceProcess, startTestNats, type ServiceProcess, type TestDatabase, type TestNats } from '@infrasignal/testkit';
import { createAuthDatabase, testEnvironment, type TestContext } from '../auth-fixture.ts';

export const AUTH_ENTRY = 'services/auth-service/src/server.ts';

export interface AuthProcess {
  readonly service: ServiceProcess;
  readonly database: TestDatabase;
  readonly nats: TestNats;
  /** Sends JSON to a path of the service. */
  readonly send: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Response>;
}

/** An auth-service as the process that it is in production, on a migrated database and a broker of its own. */
export async function startAuthProcess(t: TestContext, environment: Record<string, string> = {}): Promise<AuthProcess> {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const env = { ...testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }), LOG_LEVEL: 'info', ...environment };
  const service = await startServiceProcess(t, { entry: AUTH_ENTRY, env });
  return {
    service,
    database,
    nats,
    send: (method, path, body, headers = {}) =>
      fetch(`${service.url}${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
  };
}
