// If this breaks, passwords that are in every attacker's list are accepted although somebody was named who knows them;
// or the service that is asked learns too much, or its outage closes the registration.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { BreachedPasswords } from '../../src/features/passwords/index.ts';
import { startAuth, type TestContext } from '../auth-fixture.ts';
import { createAccount, nextNumber, post, problemOf, refusals, register } from '../requests.ts';

const LEAKED = 'vkqzjwhxr leaked';
const PADDED = 'vkqzjwhxr padded';
const CLEAN = 'vkqzjwhxr unheard of';

function sha1(password: string): string {
  return createHash('sha1').update(password).digest('hex').toUpperCase();
}

/** Digits that no password has, for the rest of an answer. */
function suffixOf(number: number): string {
  return sha1(`line ${number}`).slice(5);
}

/** As the range API answers a request for padding: what was seen with its count, what is padding with 0. */
function toRange(prefix: string): string {
  const lines = Array.from({ length: 900 }, (_, at) => `${suffixOf(at)}:${at < 500 ? at + 1 : 0}`);
  if (sha1(LEAKED).startsWith(prefix)) lines.splice(450, 0, `${sha1(LEAKED).slice(5)}:3861493`);
  if (sha1(PADDED).startsWith(prefix)) lines.splice(700, 0, `${sha1(PADDED).slice(5)}:0`);
  return lines.join('\r\n');
}

interface RangeServer {
  readonly url: string;
  readonly asked: { path: string | undefined; headers: IncomingMessage['headers'] }[];
}

/** A server that speaks the range API, or answers as it is told. */
async function startRangeServer(
  t: TestContext,
  answer: (response: ServerResponse, prefix: string) => void = (response, prefix) => response.end(toRange(prefix)),
): Promise<RangeServer> {
  const asked: RangeServer['asked'] = [];
  const server = createServer((request, response) => {
    asked.push({ path: request.url, headers: request.headers });
    answer(response, /^\/range\/([0-9A-F]{5})$/.exec(request.url ?? '')?.[1] ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** Lets an answer take longer than the service waits for one: what is said is the matter here, not how soon. */
function waitLongerForAnswers(t: Test): void {
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  t.capture(AbortSignal, 'timeout', () => timeout(60_000));
}

t.test('A7 a password of a known breach is refused, at registration and when it is changed', async (t) => {
  waitLongerForAnswers(t);
  const server = await startRangeServer(t);
  const { app } = await startAuth(t, { PASSWORD_BREACH_URL: `${server.url}/` });
  const refused = await register(app, { phone_number: nextNumber(), password: LEAKED });
  t.equal(refused.statusCode, 400);
  t.same(refusals(refused), ['/password password_common']);
  t.match(problemOf(refused).errors, [{ detail: /breach/ }]);
  for (const password of [PADDED, CLEAN]) {
    t.equal((await register(app, { phone_number: nextNumber(), password })).statusCode, 201, `${password}, padding is none`);
  }
  t.equal(server.asked.length, 3);
  const [first] = server.asked;
  t.equal(first?.path, `/range/${sha1(LEAKED).slice(0, 5)}`, 'five digits of forty');
  t.match(first?.headers, { 'add-padding': 'true' });
  t.notMatch(JSON.stringify(server.asked), /authorization|cookie/i);

  await register(app, { phone_number: nextNumber(), password: 'password' });
  t.equal(server.asked.length, 3, 'nobody is asked about a password that is refused anyway');

  const { access } = await createAccount(app, { password: CLEAN });
  const change = await post(
    app,
    '/api/password/change/',
    { current_password: CLEAN, new_password: LEAKED },
    { authorization: `Bearer ${access}` },
  );
  t.same([change.statusCode, ...refusals(change)], [400, '/new_password password_common']);
  const { body } = await app.inject('/metrics');
  t.match(body, /infrasignal_breach_checks_total\{outcome="breached"\} 2/);
});

t.test('A7 spellings of a password are one password to the breaches too', async (t) => {
  waitLongerForAnswers(t);
  const server = await startRangeServer(t);
  const breaches = new BreachedPasswords({ baseUrl: server.url, onUnanswered: (error) => t.fail('unanswered', { error }) });
  await breaches.has('é'.normalize('NFD'));
  t.equal(server.asked[0]?.path, `/range/${sha1('é'.normalize('NFC')).slice(0, 5)}`);
});

t.test('A7 without an answer a password is accepted, and the next ones do not wait', async (t) => {
  const table: [string, (response: ServerResponse) => void][] = [
    ['an error', (response) => response.writeHead(503).end()],
    ['a redirection', (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['a broken connection', (response) => response.destroy()],
    ['an endless answer', (response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    }],
    ['silence', () => undefined],
  ];
  for (const [what, answer] of table) {
    const server = await startRangeServer(t, answer);
    const errors: unknown[] = [];
    const breaches = new BreachedPasswords({ baseUrl: server.url, onUnanswered: (error) => errors.push(error) });
    t.equal(await breaches.has(LEAKED), false, what);
    t.equal(await breaches.has(LEAKED), false);
    t.same(breaches.stats, { clean: 0, breached: 0, unanswered: 2 });
    t.equal(server.asked.length, 1, 'after one without answer, nobody is asked for a while');
    t.equal(errors.length, 1);
    const text = JSON.stringify(errors[0], Object.getOwnPropertyNames(errors[0]));
    t.notMatch(text, new RegExp(`${sha1(LEAKED).slice(0, 5)}|${LEAKED}`), 'what is logged holds nothing of the password');
  }
});

t.test('A7 nobody is asked unless somebody is named, nor with DEBUG', async (t) => {
  const server = await startRangeServer(t);
  const { app } = await startAuth(t, { PASSWORD_BREACH_URL: server.url, DEBUG: 'true' });
  t.equal((await register(app, { phone_number: nextNumber(), password: LEAKED })).statusCode, 201);
  const without = await startAuth(t);
  t.equal((await register(without.app, { phone_number: nextNumber(), password: LEAKED })).statusCode, 201);
  t.equal(server.asked.length, 0);
});
