// If this breaks: a few bytes from a stranger make the service fail, hang, or say more than it should. FUZZ_CASES=50000
// tries more of them.
import {
  complainAbout,
  exchangeRaw,
  fuzz,
  FUZZ_TIMEOUT_MS,
  nearlyValidRequests,
  parseAnswer,
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

/** The token that stands in the cases, and the one that is sent in its place: whatever works ends a session some time. */
let tokenOfCases = '';
let tokenNow: Promise<string> = Promise.resolve('');

async function getToken(): Promise<string> {
  return (await caller.getCredentials()).tokens.access;
}

const statuses = new Map<string, number>();

async function tryRequest(request: RawRequest): Promise<void> {
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
  if (isDone) tokenNow = getToken();
  const complaint = complainAbout(answer, request.isHead);
  if (complaint !== null) throw new Error(`${complaint}\nto ${show()}`);
}

tap.setTimeout(FUZZ_TIMEOUT_MS);

test('A8 whatever is sent to an operation is a problem, or done; never a 5xx', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
  const credentials = await caller.getCredentials();
  tokenOfCases = credentials.tokens.access;
  tokenNow = Promise.resolve(tokenOfCases);
  const drafts = fc.oneof(...contract.operations.map((operation) => draftsOf(operation, credentials)));
  await fuzz(t, 'HTTP', { cases: nearlyValidRequests(drafts), share: 1, tryCase: tryRequest });
  t.comment(JSON.stringify(Object.fromEntries([...statuses].sort((a, b) => b[1] - a[1]))));
  const { statusCode } = await fixture.app.inject('/healthz');
  t.equal(statusCode, 200);
});
