import { ROOMY_AUTH_LIMITS, type TestDatabase } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { startAuth, testEnvironment, type AuthFixture, type TestContext } from '../auth-fixture.ts';
import { post, problemOf, type Answer } from '../requests.ts';

/**
 * The limits on guessing as they are by default: an empty variable counts as absent. How long a hash may wait is none of
 * them: by default a busy machine would refuse logins of these tests for another reason than theirs.
 */
export const DEFAULT_LIMITS: Record<string, string> = Object.fromEntries(
  Object.keys(ROOMY_AUTH_LIMITS)
    .filter((name) => !name.startsWith('HASH_'))
    .map((name) => [name, '']),
);

export interface TwoInstances extends AuthFixture {
  readonly other: FastifyInstance;
  /** Starts one more instance on the same database and broker. */
  readonly startAnother: () => Promise<FastifyInstance>;
}

/** Two instances of the service as it is by default, on one database and one broker. */
export async function startTwo(t: TestContext, environment: Record<string, string> = {}): Promise<TwoInstances> {
  const settings = { ...DEFAULT_LIMITS, ...environment };
  const fixture = await startAuth(t, settings);
  const { database, nats } = fixture;
  const startAnother = async (): Promise<FastifyInstance> => {
    const base = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
    const app = await buildApp(loadConfig({ ...base, ...settings }));
    t.teardown(() => app.close());
    await app.ready();
    return app;
  };
  return { ...fixture, other: await startAnother(), startAnother };
}

/** Lets time pass for every count: what is stored lies so much further back. */
export async function passSeconds(database: TestDatabase, seconds: number): Promise<void> {
  await database.query(
    `update login_failures set blocked_until = blocked_until - make_interval(secs => $1),
       expires_at = expires_at - make_interval(secs => $1)`,
    [seconds],
  );
  await database.query(`update address_budgets set spent_until = spent_until - make_interval(secs => $1)`, [seconds]);
}

export interface Attempt {
  readonly phoneNumber: string;
  readonly password?: string;
  readonly address?: string;
  readonly headers?: Record<string, string>;
}

/** One attempt to log in, with a wrong password where none is given. */
export function tryToLogIn(app: FastifyInstance, attempt: Attempt): Promise<Answer> {
  const { phoneNumber, password = 'not the right one', address, headers = {} } = attempt;
  return app.inject({
    method: 'POST',
    url: '/api/login/',
    payload: { phone_number: phoneNumber, password },
    headers,
    ...(address === undefined ? {} : { remoteAddress: address }),
  });
}

/** The statuses of so many wrong passwords, one after the other. */
export async function fail(app: FastifyInstance, attempt: Attempt, times: number): Promise<number[]> {
  const statuses: number[] = [];
  while (statuses.length < times) statuses.push((await tryToLogIn(app, attempt)).statusCode);
  return statuses;
}

export function retryAfterOf(answer: Answer): number {
  const header = String(answer.headers['retry-after']);
  if (!/^[1-9]\d*$/.test(header)) throw new Error(`Retry-After is ${header}`);
  return Number(header);
}

/** What a stranger can see of an answer, without what is another in every answer. */
export function visible(answer: Answer): unknown {
  const { date: _date, ...headers } = answer.headers;
  const { request_id: _requestId, ...body } = problemOf(answer);
  return { status: answer.statusCode, headers, body, bytes: answer.rawPayload.length };
}

/** {@link visible}, but for the seconds to wait, of which some pass between two answers. */
export function withoutWait(answer: Answer): unknown {
  const { 'retry-after': wait, ...headers } = (visible(answer) as { headers: Record<string, unknown> }).headers;
  return { ...(visible(answer) as object), headers, hasWait: wait !== undefined };
}

export function changePassword(
  app: FastifyInstance,
  access: string,
  body: { current_password: string; new_password: string },
): Promise<Answer> {
  return post(app, '/api/password/change/', body, { authorization: `Bearer ${access}` });
}
