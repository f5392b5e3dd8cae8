import { randomUUID } from 'node:crypto';
import { createAccount, nextNumber, post, type Answer } from '../requests.ts';
import type { FastifyInstance } from 'fastify';
import { ALLOWED_ORIGIN, plainWay, type Body, type Caller, type Credentials, type OperationCall } from './caller.ts';
import { bodySchemaOf, type JsonSchema, type Operation } from './contract.ts';

/** What a provocation has at hand: an operation, a live account, and the request that would succeed. */
export interface Scene {
  readonly app: FastifyInstance;
  readonly caller: Caller;
  readonly operation: Operation;
  readonly credentials: Credentials;
  readonly good: OperationCall;
}

type Provocation = (scene: Scene) => Promise<Answer> | Answer;

/** Over 80 KiB, the most that any route reads. */
const OVERSIZED = JSON.stringify({ filling: 'x'.repeat(81 * 1024) });

/** A request to the operation that succeeds, with a number of its own where it makes an account. */
export function goodCall(caller: Caller, operation: Operation, credentials: Credentials): OperationCall {
  const isRegistration = operation.operationId === 'register';
  const body = {
    ...caller.exampleFor(operation, credentials),
    ...(isRegistration ? { phone_number: nextNumber(), email: null } : {}),
    ...(operation.operationId === 'logIn' ? { phone_number: credentials.tokens.phone_number } : {}),
  };
  return {
    ...caller.authorise(plainWay(operation), credentials),
    ...(operation.requestBody === undefined ? {} : { body }),
    parameters: { session_id: credentials.sessionId },
  };
}

/** The same request with some members of its body replaced. */
function withMembers({ caller, operation, good }: Scene, members: Body): Promise<Answer> {
  return caller.send(operation, { ...good, body: { ...(good.body as Body), ...members } });
}

function withHeaders({ caller, operation, good }: Scene, headers: Record<string, string>): Promise<Answer> {
  return caller.send(operation, { ...good, headers: { ...good.headers, ...headers } });
}

function withPayload({ caller, operation, good }: Scene, payload: string): Promise<Answer> {
  return caller.send(operation, { ...good, payload });
}

/** As a browser with the cookies of a session; of an operation that has none yet, as one that asks for them. */
function fromBrowser(scene: Scene, headers: Record<string, string>): Promise<Answer> {
  const { caller, operation, credentials, good } = scene;
  const way = operation.security.find((candidate) => 'csrf' in candidate);
  const hasMode = operation.parameters?.some(({ name }) => name === 'session') ?? false;
  const parameters = { ...good.parameters, ...(hasMode ? { session: 'cookie' } : {}) };
  if (way === undefined) return caller.send(operation, { ...good, parameters, headers });
  const { cookies = {} } = caller.authorise(way, credentials);
  const body = 'refreshCookie' in way ? {} : { body: good.body };
  return caller.send(operation, { ...(operation.requestBody === undefined ? {} : body), parameters, cookies, headers });
}

/** What only has to be waited for: one attempt makes the counts, which then are as if there had been many. */
async function refuseUnseen(scene: Scene): Promise<Answer> {
  const { app, caller, operation, good } = scene;
  await withMembers(scene, { [operation.operationId === 'logIn' ? 'password' : 'current_password']: 'not this one' });
  await app.pool.query("update login_failures set blocked_until = now() + interval '1 hour'");
  await app.pool.query("update address_budgets set spent_until = now() + interval '10 years'");
  await app.pool.query('truncate notification_allowances');
  await app.pool.query("insert into notification_allowances select id, now() + interval '1 hour', 1e9, 1e9 from users");
  const answer = await caller.send(operation, good);
  await app.pool.query('truncate login_failures, address_budgets, notification_allowances');
  return answer;
}

/** How each code is had from an operation that documents it. */
export const provocations: Readonly<Record<string, Provocation>> = {
  host_not_allowed: (scene) => withHeaders(scene, { host: 'elsewhere.example' }),
  invalid_request: (scene) =>
    scene.operation.requestBody === undefined
      ? scene.caller.send(scene.operation, { ...scene.good, parameters: { session_id: 'not an id' } })
      : withPayload(scene, '[]'),
  malformed_body: (scene) => withPayload(scene, '{"half": '),
  payload_too_large: (scene) => withPayload(scene, OVERSIZED),
  unsupported_media_type: (scene) =>
    scene.caller.send(scene.operation, {
      ...scene.good,
      payload: 'phone_number=0123456789',
      headers: { ...scene.good.headers, 'content-type': 'application/x-www-form-urlencoded' },
    }),
  invalid_token: (scene) =>
    scene.operation.operationId === 'verifyToken'
      ? withMembers(scene, { token: `${scene.credentials.tokens.access}A` })
      : withHeaders(scene, { authorization: `Bearer ${scene.credentials.tokens.refresh}` }),
  forbidden_origin: (scene) =>
    fromBrowser(scene, { origin: 'https://elsewhere.example', 'x-csrf-token': scene.credentials.csrfToken }),
  csrf_failed: (scene) => fromBrowser(scene, { origin: ALLOWED_ORIGIN, 'x-csrf-token': 'not the token' }),
  insufficient_scope: async (scene) => {
    const { access } = await createAccount(scene.app);
    return withHeaders(scene, { authorization: `Bearer ${access}` });
  },
  invalid_credentials: (scene) => withMembers(scene, { password: 'not the password' }),
  invalid_refresh_token: (scene) => withMembers(scene, { refresh: `${scene.credentials.tokens.refresh}A` }),
  invalid_client: (scene) => withMembers(scene, { client_secret: 'not the secret' }),
  wrong_password: (scene) => withMembers(scene, { current_password: 'not the password' }),
  throttled: refuseUnseen,
  session_not_found: ({ caller, operation, good }) =>
    caller.send(operation, { ...good, parameters: { session_id: randomUUID() } }),
  phone_number_taken: (scene) => withMembers(scene, { phone_number: scene.credentials.tokens.phone_number }),
  email_taken: async (scene) => {
    const email = `${randomUUID()}@example.com`;
    await createAccount(scene.app, { email });
    return withMembers(scene, { email });
  },
  idempotency_key_reused: async (scene) => {
    const keyed = withKey(scene);
    await keyed();
    return keyed(scene.operation.operationId === 'register' ? { phone_number: nextNumber() } : { type: 'app.other' });
  },
  idempotency_key_spent: async (scene) => {
    const keyed = withKey(scene);
    const { refresh } = (await keyed()).json<{ refresh: string }>();
    await post(scene.app, '/api/token/refresh/', { refresh });
    return keyed();
  },
};

/** The request with a key of its own, for sending it again. */
function withKey({ caller, operation, good }: Scene): (members?: Body) => Promise<Answer> {
  const headers = { ...good.headers, 'idempotency-key': randomUUID() };
  return (members = {}) => caller.send(operation, { ...good, headers, body: { ...(good.body as Body), ...members } });
}

/** A value that a member's schema refuses with a code; undefined if it refuses none so. */
type BadValue = (schema: JsonSchema) => unknown;

const ofBranch = (schema: JsonSchema): JsonSchema => schema.anyOf?.[0] ?? schema;

/** What a schema itself can refuse about a member of a body. */
const badValues: Readonly<Record<string, BadValue>> = {
  invalid_type: ({ type }) => (type === 'boolean' ? 'true' : 1),
  too_short: ({ minItems, minLength }) => (minItems === undefined ? (minLength === undefined ? undefined : '') : []),
  too_long: ({ maxLength }) => (maxLength === undefined ? undefined : 'x'.repeat(maxLength + 1)),
  invalid_value: ({ items }) => (items?.minimum === undefined ? undefined : [items.minimum - 1]),
  invalid_format: ({ format }) => (format === undefined ? undefined : 'not of this form'),
};

/** What only the service can refuse about a member. */
const badMembers: Readonly<Record<string, Body>> = {
  invalid_phone_number: { phone_number: '12' },
  invalid_email: { email: 'no address' },
  password_too_short: { password: 'xk7-q' },
  password_too_long: { password: 'x1 '.repeat(100) },
  password_common: { password: 'password123' },
};

/** How each code of a field is had from an operation that documents it. */
export async function provokeField(scene: Scene, code: string): Promise<Answer> {
  const { caller, operation, good } = scene;
  const schema = bodySchemaOf(operation);
  const members = Object.entries(schema?.properties ?? {}).map(([name, member]) => [name, ofBranch(member)] as const);
  const [required] = schema?.required ?? [];
  if (code === 'required' && required !== undefined) {
    const { [required]: _, ...body } = good.body as Body;
    return caller.send(operation, { ...good, body });
  }
  if (code === 'unknown_field') return withMembers(scene, { is_staff: true });
  if (code === 'invalid_characters') return withMembers(scene, { [members[0]?.[0] ?? 'any']: 'NUL \u0000' });
  const bad = badMembers[code];
  if (bad !== undefined) {
    // A new password is refused like a first one.
    const isChange = schema?.properties?.new_password !== undefined;
    return withMembers(scene, isChange ? { new_password: bad.password } : bad);
  }
  for (const [name, member] of members) {
    const value = badValues[code]?.(member);
    if (value !== undefined) return withMembers(scene, { [name]: value });
  }
  if (code === 'invalid_value') return caller.send(operation, { ...good, parameters: { session: 'no such mode' } });
  const parameters = { session_id: 'not an id', 'Idempotency-Key': 'no key' };
  return caller.send(operation, { ...good, parameters });
}
