// If this breaks, a program meets an error that the document did not prepare it for, or waits for one that never comes;
// or the clients of the original no longer find the texts beside their fields.
import { ProblemSchema, type Problem } from '@infrasignal/shared';
import { startFaultProxy, type FaultProxy } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import tap, { test, type Test } from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { startAuth, testEnvironment, type AuthFixture } from '../auth-fixture.ts';
import type { Answer } from '../requests.ts';
import { Caller } from './caller.ts';
import { Contract, documentedCodes, documentedFieldCodes, type Operation } from './contract.ts';
import { goodCall, provocations, provokeField, type Scene } from './provocations.ts';

/** Whoever breaks the database breaks it for everybody: these have tests of their own. */
const BROKEN_DATABASE = ['internal_error', 'service_unavailable'];

/** What is documented and cannot be had here, with the reason why. */
const UNPROVOKED: Readonly<Record<string, string>> = {
  'getApiDescription internal_error': 'it is answered from memory',
  'getSigningKeys internal_error': 'it is answered from memory',
};

let fixture: AuthFixture;
let contract: Contract;

tap.before(async () => {
  fixture = await startAuth(tap);
  contract = await Contract.load(fixture.app);
});

async function setScene(app: FastifyInstance, caller: Caller, operation: Operation): Promise<Scene> {
  const credentials = await caller.getCredentials();
  return { app, caller, operation, credentials, good: goodCall(caller, operation, credentials) };
}

function checkProblem(t: Test, operation: Operation, answer: Answer, code: string): void {
  const what = `${operation.operationId} ${code}`;
  t.equal(answer.json<Problem>().code, code, `${what}: ${answer.body.slice(0, 200)}`);
  t.strictSame(contract.check(operation, answer), [], what);
}

test('A34 every documented error can be had, and is what the document says', async (t) => {
  const { app } = fixture;
  const caller = await Caller.create(app, contract);
  let count = 0;
  for (const operation of contract.operations) {
    for (const { status, code } of documentedCodes(operation)) {
      if (BROKEN_DATABASE.includes(code)) continue;
      const provoke = provocations[code];
      if (provoke === undefined) {
        t.fail(`nobody knows how to have ${code} from ${operation.operationId}`);
        continue;
      }
      const answer = await provoke(await setScene(app, caller, operation));
      t.equal(answer.statusCode, status, `${operation.operationId} ${code}`);
      checkProblem(t, operation, answer, code);
      count += 1;
    }
  }
  t.comment(`${count} errors were had`);
});

test('A34 every documented error of a field can be had, with its text under the field’s name too', async (t) => {
  const { app } = fixture;
  const caller = await Caller.create(app, contract);
  let count = 0;
  for (const operation of contract.operations) {
    for (const code of documentedFieldCodes(operation)) {
      const what = `${operation.operationId} field ${code}`;
      if (Object.hasOwn(UNPROVOKED, what)) continue;
      const answer = await provokeField(await setScene(app, caller, operation), code);
      checkProblem(t, operation, answer, 'invalid_request');
      const problem = answer.json<Problem>();
      const found = problem.errors?.find((error) => error.code === code);
      t.ok(found, `${what}: ${answer.body.slice(0, 200)}`);
      const field = found?.pointer.split('/')[1] ?? '';
      // A field that is called like a member of every problem (RFC 9457: `type`) has its text in `errors` alone.
      if (field in ProblemSchema.properties) continue;
      const inherited = { [field === '' ? 'non_field_errors' : field]: [found?.detail] };
      t.match(problem, inherited, `${what}, as the original sent it`);
      count += 1;
    }
  }
  t.comment(`${count} errors of fields were had`);
});

test('A34 a service’s token is good, but there is no account behind it', async (t) => {
  const { app } = fixture;
  const caller = await Caller.create(app, contract);
  const issue = contract.find('issueServiceToken');
  const { good } = await setScene(app, caller, issue);
  const { access } = (await caller.send(issue, good)).json<{ access: string }>();
  const headers = { authorization: `Bearer ${access}` };
  for (const name of ['getMe', 'exportMe']) {
    checkProblem(t, contract.find(name), await caller.send(contract.find(name), { headers }), 'invalid_token');
  }
  const listSessions = contract.find('listSessions');
  t.strictSame(contract.check(listSessions, await caller.send(listSessions, { headers })), []);
});

/** An app whose way to the database leads through a proxy. */
async function startBehindProxy(t: Test): Promise<{ app: FastifyInstance; proxy: FaultProxy }> {
  const { database, nats } = fixture;
  const url = new URL(database.url);
  const proxy = await startFaultProxy(t, { port: Number(url.port) });
  url.port = String(proxy.port);
  url.hostname = '127.0.0.1';
  const app = await buildApp(loadConfig(testEnvironment({ databaseUrl: url.href, natsUrl: nats.url })));
  t.teardown(() => app.close());
  await app.ready();
  return { app, proxy };
}

/** Sends to every operation that documents the code what would succeed, while something is broken. */
async function sendToBroken(
  t: Test,
  app: FastifyInstance,
  code: string,
  breakIt: () => unknown,
): Promise<void> {
  const caller = await Caller.create(app, contract);
  const affected = contract.operations.filter(
    (operation) =>
      documentedCodes(operation).some((documented) => documented.code === code) &&
      !Object.hasOwn(UNPROVOKED, `${operation.operationId} ${code}`),
  );
  const scenes: Scene[] = [];
  for (const operation of affected) scenes.push(await setScene(app, caller, operation));
  await breakIt();
  for (const { operation, good } of scenes) {
    // With a token there is something to end, and somebody to look for.
    const authorization = `Bearer ${scenes[0]?.credentials.tokens.access ?? ''}`;
    const headers = { ...good.headers, ...(operation.operationId === 'logOut' ? { authorization } : {}) };
    checkProblem(t, operation, await caller.send(operation, { ...good, headers }), code);
  }
  t.ok(affected.length > 10, `${affected.length} operations`);
}

test('A34 without its database every operation that needs one answers 503 and when to try again', async (t) => {
  const { app, proxy } = await startBehindProxy(t);
  await sendToBroken(t, app, 'service_unavailable', () => {
    proxy.setRule(() => {
      proxy.cut();
      return 'hold';
    });
    proxy.cut();
  });
});

test('A34 when something fails within, every operation answers 500 and no more than that', async (t) => {
  const { app, database } = fixture;
  await sendToBroken(t, app, 'internal_error', () => database.query('alter schema public rename to elsewhere'));
  const answers = await Promise.all(contract.operations.map((operation) => app.inject({ url: operation.path })));
  for (const { body } of answers) t.notMatch(body, /elsewhere|relation|select/i);
  await database.query('alter schema elsewhere rename to public');
});
