// If this breaks, who follows the document's own examples is turned away, or gets an answer that the document does not
// describe: generated clients fail to read it.
import tap, { test } from 'tap';
import { startAuth, type AuthFixture } from '../auth-fixture.ts';
import { Caller } from './caller.ts';
import { Contract, examplesOf } from './contract.ts';
import { watchSerialisation, type SerialisationWatch } from './serialisation.ts';

let fixture: AuthFixture;
let contract: Contract;
let caller: Caller;
let watch: SerialisationWatch;

tap.before(async () => {
  fixture = await startAuth(tap);
  contract = await Contract.load(fixture.app);
  caller = await Caller.create(fixture.app, contract);
  watch = watchSerialisation(tap);
});

test('A34 an account is registered and logged in to with the examples as they stand', async (t) => {
  for (const name of ['register', 'logIn']) {
    const operation = contract.find(name);
    const [[, body] = []] = examplesOf(operation.requestBody!.content['application/json']);
    const answer = await caller.send(operation, { body });
    t.equal(Math.trunc(answer.statusCode / 100), 2, `${name}: ${answer.body.slice(0, 200)}`);
    t.strictSame(contract.check(operation, answer), [], name);
  }
});

test('A34 every operation does with its example what it says, for everybody whom it lets in', async (t) => {
  for (const operation of contract.operations) {
    if (['register', 'logIn'].includes(operation.operationId)) continue;
    for (const way of operation.security.length === 0 ? [{}] : operation.security) {
      const what = `${operation.operationId} with ${Object.keys(way).join(' and ') || 'nothing'}`;
      const credentials = await caller.getCredentials();
      // An account before this one has taken the address of the example.
      await fixture.database.query('update users set email = null');
      // What comes in a cookie is not also in the body, and an answer with tokens puts them where they came from.
      const isByCookie = 'refreshCookie' in way;
      const hasBody = operation.requestBody !== undefined && !isByCookie;
      const hasMode = operation.parameters?.some(({ name }) => name === 'session') ?? false;
      const answer = await caller.send(operation, {
        ...caller.authorise(way, credentials),
        ...(hasBody ? { body: caller.exampleFor(operation, credentials) } : {}),
        parameters: { session_id: credentials.sessionId, ...(isByCookie && hasMode ? { session: 'cookie' } : {}) },
      });
      t.equal(Math.trunc(answer.statusCode / 100), 2, `${what}: ${answer.statusCode} ${answer.body.slice(0, 200)}`);
      t.strictSame(contract.check(operation, answer), [], what);
    }
  }
});

test('A34 in cookie mode the answers with tokens are as described too', async (t) => {
  for (const name of ['register', 'logIn']) {
    const operation = contract.find(name);
    const { tokens } = await caller.getCredentials();
    const phoneNumber = name === 'register' ? '0199000001' : tokens.phone_number;
    const body = { phone_number: phoneNumber, password: caller.password };
    const headers = { origin: 'http://localhost:8000' };
    const answer = await caller.send(operation, { body, headers, parameters: { session: 'cookie' } });
    t.equal(Math.trunc(answer.statusCode / 100), 2, `${name}: ${answer.body.slice(0, 200)}`);
    t.strictSame(contract.check(operation, answer), [], name);
    t.hasProp(answer.json(), 'csrf_token');
  }
});

test('A34 nothing that a handler returns is left out of its answer', async (t) => {
  t.ok(watch.compared.count > contract.operations.length, 'they were looked at');
  t.strictSame(watch.losses, []);
});
