// If this breaks, one machine can try the same few passwords on everybody, or find out which numbers have an account.
import t from 'tap';
import { GOOD_PASSWORD } from '../auth-fixture.ts';
import { createAccount, nextNumber, post, type Answer } from '../requests.ts';
import { passSeconds, retryAfterOf, startTwo, tryToLogIn, withoutWait } from './guessing.ts';

/** A minute for each use to come back: longer than a slow machine takes for what has to happen before. */
const SLOW_REFILL = { ADDRESS_LOGIN_FAILURES_PER_HOUR: '60', ADDRESS_REGISTRATIONS_PER_HOUR: '60' };

const { app, other, database } = await startTwo(t, SLOW_REFILL);

/** One wrong password for a number that nobody else asked about. */
function probe(instance: typeof app, address: string, headers: Record<string, string> = {}): Promise<Answer> {
  return tryToLogIn(instance, { phoneNumber: nextNumber(), address, headers });
}

/** Uses up what an address has. */
async function exhaust(address: string, headers: Record<string, string> = {}): Promise<void> {
  for (let used = 0; used < 100; used += 1) await probe(app, address, headers);
}

t.test('A13 two hundred numbers from one address are refused, by every instance, in development too', async (t) => {
  for (const DEBUG of ['false', 'true']) {
    const { app: one, other: two } = await startTwo(t, { DEBUG });
    const what = `DEBUG=${DEBUG}`;
    const statuses: number[] = [];
    for (let at = 0; at < 200; at += 1) {
      statuses.push((await probe(at % 2 === 0 ? one : two, '203.0.113.1')).statusCode);
    }
    t.strictSame(new Set(statuses.slice(0, 100)), new Set([401]), `${what}: as many as may`);
    t.ok(statuses.slice(100).includes(429), `${what}: not more`);
    t.ok(statuses.slice(100).filter((status) => status === 401).length < 50, `${what}: but for what came back`);
  }
});

t.test('A13 whoever asks from that address has to wait, and nobody else', async (t) => {
  const { phone_number: phoneNumber } = await createAccount(app);
  const right = { phoneNumber, password: GOOD_PASSWORD };
  await exhaust('203.0.113.1');
  const refused = await tryToLogIn(app, { ...right, address: '203.0.113.1' });
  const wrong = await probe(app, '203.0.113.1');
  t.strictSame(withoutWait(refused), withoutWait(wrong), 'a right password is not looked at either');
  t.ok(retryAfterOf(refused) <= 60);
  t.equal((await tryToLogIn(app, { ...right, address: '203.0.113.2' })).statusCode, 200, 'a neighbour may');
  await passSeconds(database, 60);
  t.equal((await tryToLogIn(app, { ...right, address: '203.0.113.1' })).statusCode, 200, 'what was used comes back');
});

t.test('A13 successes use nothing up', async (t) => {
  const { phone_number: phoneNumber } = await createAccount(app);
  for (let at = 0; at < 101; at += 1) {
    const answer = await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, address: '203.0.113.3' });
    if (answer.statusCode !== 200) t.fail(`login ${at + 1} was answered ${answer.statusCode}`);
  }
  t.equal((await probe(app, '203.0.113.3')).statusCode, 401);
});

t.test('A13 a burst at once is paid back by waiting longer', async (t) => {
  const burst = Array.from({ length: 150 }, (_, at) => probe(at % 2 === 0 ? app : other, '203.0.113.4'));
  const statuses = (await Promise.all(burst)).map(({ statusCode }) => statusCode);
  const seen = statuses.filter((status) => status === 401).length;
  t.ok(seen >= 100);
  const wait = retryAfterOf(await probe(app, '203.0.113.4'));
  t.ok(wait >= (seen - 100 - 2) * 60, `${seen} were looked at; then ${wait} s of waiting`);
});

t.test('A13 X-Forwarded-For changes nothing unless TRUST_PROXY says so', async (t) => {
  await exhaust('203.0.113.5', { 'x-forwarded-for': '198.51.100.1' });
  const spoofed = {
    'x-forwarded-for': '198.51.100.2, 198.51.100.3',
    forwarded: 'for=198.51.100.4',
    'x-real-ip': '198.51.100.5',
  };
  t.equal((await probe(app, '203.0.113.5', spoofed)).statusCode, 429, 'another header, the same address');
  t.equal((await probe(app, '203.0.113.5')).statusCode, 429, 'none');
  t.equal((await probe(app, '198.51.100.1')).statusCode, 401, 'and who was named is not concerned');
});

t.test('A13 behind one trusted proxy the address is what that proxy saw', async (t) => {
  const { app: behind } = await startTwo(t, { ...SLOW_REFILL, TRUST_PROXY: '1' });
  const through = (forwardedFor: string): Promise<Answer> =>
    probe(behind, '10.0.0.1', { 'x-forwarded-for': forwardedFor });
  for (let used = 0; used < 100; used += 1) await through(`198.51.100.${used}, 203.0.113.6`);
  t.equal((await through('192.0.2.1, 203.0.113.6')).statusCode, 429, 'what the client wrote before it does not count');
  t.equal((await through('203.0.113.7')).statusCode, 401);
});

t.test('A13 an IPv6 address counts with its /64, an IPv4-mapped one as the IPv4 address', async (t) => {
  const table: [string, string, number][] = [
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', 429],
    ['2001:db8:1:2::1', '2001:0DB8:0001:0002::9', 429],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', 401],
    ['203.0.113.8', '::ffff:203.0.113.8', 429],
    ['203.0.113.8', '::FFFF:cb00:7108', 429],
    ['203.0.113.8', '::ffff:203.0.113.9', 401],
  ];
  await exhaust('2001:db8:1:2::1');
  await exhaust('203.0.113.8');
  for (const [, address, status] of table) t.equal((await probe(app, address)).statusCode, status, address);
});

t.test('A13 registrations have a budget of their own, refused ones included', async (t) => {
  const { phone_number: taken } = await createAccount(app);
  const register = (phoneNumber: string, address: string, body: object = {}): Promise<Answer> =>
    app.inject({
      method: 'POST',
      url: '/api/register/',
      payload: { phone_number: phoneNumber, password: GOOD_PASSWORD, ...body },
      remoteAddress: address,
    });
  for (let at = 0; at < 99; at += 1) {
    const answer = await register(taken, '203.0.113.10');
    if (answer.statusCode !== 409) t.fail(`registration ${at + 1} was answered ${answer.statusCode}`);
  }
  t.equal((await register(nextNumber(), '203.0.113.10', { is_staff: true })).statusCode, 400, 'mistakes are free');
  t.equal((await register('12', '203.0.113.10')).statusCode, 400);
  t.equal((await register(nextNumber(), '203.0.113.10')).statusCode, 201, 'the hundredth');
  const refused = await register(nextNumber(), '203.0.113.10');
  t.equal(refused.statusCode, 429);
  t.ok(retryAfterOf(refused) <= 60);
  const again = await register(taken, '203.0.113.10');
  t.strictSame(withoutWait(again), withoutWait(refused), 'which no longer tells who is there');
  t.equal((await probe(app, '203.0.113.10')).statusCode, 401, 'logins are counted apart');
  await passSeconds(database, 60);
  t.equal((await register(nextNumber(), '203.0.113.10')).statusCode, 201);
});

t.test('A13 tokens are no passwords: wrong ones are not counted', async (t) => {
  for (let at = 0; at < 120; at += 1) {
    const answer = await post(app, '/api/token/refresh/', { refresh: `v1.${at}` });
    if (answer.statusCode !== 401) t.fail(`refresh ${at + 1} was answered ${answer.statusCode}`);
  }
  t.equal((await probe(app, '127.0.0.1')).statusCode, 401);
});
