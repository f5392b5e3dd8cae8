// If this breaks: a few bytes from a stranger make the service fail, hang, say what no document says, or hold on to what
// was sent until it has no memory left. FUZZ_CASES=50000 tries more of it.
import { parseScrape, waitFor } from '@infrasignal/testkit';
import {
  complainAbout,
  exchangeRaw,
  fuzz,
  fuzzedRequests,
  FUZZ_TIMEOUT_MS,
  LeftAlive,
  parseAnswer,
  pathOf,
  type RawAnswer,
  type RawRequest,
  type RequestDraft,
} from '@infrasignal/testkit/fuzz';
import fc, { type Arbitrary } from 'fast-check';
import type { AddressInfo } from 'node:net';
import tap, { test } from 'tap';
import { startAuth, type AuthFixture } from '../auth-fixture.ts';
import { nearlyValidBodies, parameterValues, validValues } from './arbitraries.ts';
import { Caller, plainWay, type Credentials } from './caller.ts';
import { bodySchemaOf, Contract, type Operation } from './contract.ts';

let fixture: AuthFixture;
let contract: Contract;
let caller: Caller;
let port: number;
let alive: LeftAlive;

tap.before(async () => {
  fixture = await startAuth(tap);
  contract = await Contract.load(fixture.app);
  caller = await Caller.create(fixture.app, contract);
  await fixture.app.listen({ host: '127.0.0.1', port: 0 });
  ({ port } = fixture.app.server.address() as AddressInfo);
});

/** Requests that an operation answers with success, or nearly so. */
function draftsOf(operation: Operation, credentials: Credentials): Arbitrary<RequestDraft> {
  const { headers: given = {} } = caller.authorise(plainWay(operation), credentials);
  const schema = bodySchemaOf(operation);
  const example = operation.requestBody === undefined ? null : caller.exampleFor(operation, credentials);
  const made = schema === null ? [] : [validValues(schema, {}), nearlyValidBodies(schema, {})];
  const bodies = fc.oneof(fc.constant(example), ...made);
  const parameters = (operation.parameters ?? []).map(({ name }) => {
    return fc.tuple(fc.constant(name), parameterValues(credentials.sessionId));
  });
  return fc.tuple(bodies, fc.tuple(...parameters)).map(([body, values]) => {
    const headers: (readonly [string, string])[] = [['Host', '127.0.0.1'], ...Object.entries(given)];
    const query = new URLSearchParams();
    let target = operation.path;
    for (const [name, value] of values) {
      const place = operation.parameters?.find((parameter) => parameter.name === name)?.in;
      if (place === 'path') target = target.replace(`{${name}}`, encodeURIComponent(value));
      else if (place === 'header') headers.push([name, toHeaderText(value)]);
      else query.set(name, value);
    }
    if (query.size > 0) target += `?${query.toString()}`;
    const { method } = operation;
    if (body === null) return { method, target, headers, body };
    headers.push(['Content-Type', 'application/json']);
    return { method, target, headers, body: Buffer.from(JSON.stringify(body)) };
  });
}

/** UTF-8 as a header carries it, in one line. */
function toHeaderText(value: string): string {
  return Buffer.from(value).toString('latin1').replaceAll(/[\r\n\0]/g, ' ');
}

/** An access token lasts for five minutes, a run for hours. */
const TOKEN_AGE_MS_MAX = 120_000;

/** The token that stands in the cases, and the one that is sent in its place: whatever works ends a session some time. */
let tokenOfCases = '';
let tokenNow: Promise<string> = Promise.resolve('');
let tokenAtMs = 0;

function renewToken(): void {
  tokenNow = caller.getCredentials().then(({ tokens }) => tokens.access);
  tokenAtMs = performance.now();
}

/** Answers that stand in no document: a preflight of CORS, probes, the documentation itself. */
const BESIDE_THE_DOCUMENT = /^\/(healthz|readyz|metrics|api\/openapi\.json|api\/docs(\/.*)?|api)$/;

/** Of what is refused before there is a request, so that no operation can document it (docs/errors.md). */
const EDGE_CODES = new Set(['malformed_request', 'request_timeout', 'headers_too_large']);

/** An operation of the document that a path leads to; null: none. */
function findOperation(asked: { method: string; path: string }): Operation | null {
  const method = asked.method === 'HEAD' ? 'GET' : asked.method;
  const isAsked = (operation: Operation): boolean =>
    operation.method === method &&
    new RegExp(`^${operation.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+').replace(/\/$/, '')}$`).test(asked.path);
  return contract.operations.find(isAsked) ?? null;
}

/** What is not as the document says of this path, method and status; null: nothing. */
function complainAboutDocument(bytes: Buffer, answer: RawAnswer, isHead: boolean): string | null {
  const { status, body } = answer;
  const asked = pathOf(bytes);
  const operation = asked === null ? null : findOperation(asked);
  const { code } = (status >= 400 && !isHead ? JSON.parse(body) : {}) as { code?: string };
  const isEdge = status === 431 || (code !== undefined && EDGE_CODES.has(code));
  if (operation !== null && !isEdge) {
    if (isHead) return String(status) in operation.responses ? null : `${operation.operationId}: ${status} to HEAD`;
    const complaints = contract.check(operation, { statusCode: status, headers: Object.fromEntries(answer.headers), body });
    return complaints.length === 0 ? null : `${operation.operationId}: ${complaints.join(', ')} in ${body.slice(0, 500)}`;
  }
  if (status >= 400) {
    const complaints = isHead ? [] : contract.complaintsAbout('/components/schemas/Problem', JSON.parse(body));
    return complaints.length === 0 ? null : complaints.join(', ');
  }
  const isBeside = asked !== null && (asked.method === 'OPTIONS' || BESIDE_THE_DOCUMENT.test(asked.path));
  return isBeside ? null : `answered ${status} where nothing is: ${body.slice(0, 200)}`;
}

const statuses = new Map<string, number>();

async function tryRequest(request: RawRequest): Promise<void> {
  if (performance.now() - tokenAtMs > TOKEN_AGE_MS_MAX) renewToken();
  const bytes = Buffer.from(request.bytes.toString('latin1').replaceAll(tokenOfCases, await tokenNow), 'latin1');
  const show = (): string => JSON.stringify(bytes.toString('latin1').slice(0, 3_000));
  const { received, isSettled } = await exchangeRaw(port, { ...request, bytes });
  const answer = parseAnswer(received, request.isHead);
  const result = answer?.status ?? (received.length === 0 ? 'closed' : 'cut off');
  const outcome = `${result}${request.isComplete ? '' : ' (broken)'}`;
  statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1);
  if (!isSettled) throw new Error(`neither answered nor closed: ${show()}, received ${received.toString('latin1')}`);
  if (answer === null) {
    if (request.isComplete) throw new Error(`no answer to ${show()}`);
    return;
  }
  const isDone = answer.status < 300 && !/^(GET|HEAD)/.test(bytes.toString('latin1'));
  if (isDone) renewToken();
  const complaint = complainAbout(answer, request.isHead) ?? complainAboutDocument(bytes, answer, request.isHead);
  if (complaint !== null) throw new Error(`${complaint}\nto ${show()}`);
}

/** Connections that this process keeps for its next request; none is needed, some clients do. */
const KEPT = 2;

/** A connection, its last request and the answer to it, of each that is kept. */
const KEPT_OBJECTS = 3 * KEPT;

/** Room for caches, compiled code and the runner itself; 4 KiB that each case leaves behind are more after 20,000. */
const GROWN_BYTES_MAX = 64 * 1_024 * 1_024;

tap.setTimeout(FUZZ_TIMEOUT_MS);

test('A8 A34 whatever is sent to an operation is a problem, or done; as documented, and never a 5xx', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
  const credentials = await caller.getCredentials();
  tokenOfCases = credentials.tokens.access;
  tokenNow = Promise.resolve(tokenOfCases);
  tokenAtMs = performance.now();
  const drafts = fc.oneof(...contract.operations.map((operation) => draftsOf(operation, credentials)));
  const cases = fuzzedRequests(drafts);
  // The tables that characters are made up from are read now, and are no memory of the service's.
  fc.sample(cases, 10);
  alive = new LeftAlive(fixture.app.server);
  await fuzz(t, 'HTTP', { cases, share: 1, tryCase: tryRequest });
  t.comment(JSON.stringify(Object.fromEntries([...statuses].sort((a, b) => b[1] - a[1]))));
  const { statusCode } = await fixture.app.inject('/healthz');
  t.equal(statusCode, 200);
});

test('A14 whatever was sent, nothing of it is held on to', async (t) => {
  const { app, database } = fixture;
  const read = async (name: string, labels = {}): Promise<number> => parseScrape((await app.inject('/metrics')).body).sum(name, labels);
  for (const name of ['infrasignal_hash_places', 'infrasignal_hashes_running', 'infrasignal_hashes_waiting', 'infrasignal_database_pool_waiting']) {
    await waitFor(async () => (await read(name)) === 0, { description: `${name} to be 0` });
  }
  const open = "select count(*)::int as count from pg_stat_activity where datname = current_database() and state like 'idle in%'";
  await waitFor(async () => (await database.query<{ count: number }>(open))[0]?.count === 0, { description: 'no open transaction' });
  const watched = await alive.settle(KEPT_OBJECTS);
  t.comment(`${watched} objects came and went; ${Math.round(alive.grownBytes / 1_024)} KiB more in use than at first`);
  t.ok(alive.grownBytes < GROWN_BYTES_MAX);
});
