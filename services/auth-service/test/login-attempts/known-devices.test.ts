// If this breaks, whoever knows a phone number can keep its owner out by typing wrong passwords.
import type { TokenResponse } from '@infrasignal/shared';
import t from 'tap';
import { GOOD_PASSWORD } from '../auth-fixture.ts';
import { createAccount, nextNumber, type Answer } from '../requests.ts';
import { fail, passSeconds, startTwo, tryToLogIn } from './guessing.ts';

const { app, other, database } = await startTwo(t, { LOGIN_DELAY_SECONDS: '60', ADDRESS_LOGIN_FAILURES_PER_HOUR: '1' });

const COOKIE = '__Host-infrasignal_device';

interface Device {
  readonly phoneNumber: string;
  readonly userId: number;
  readonly token: string;
  readonly cookie: string;
}

function cookieOf(answer: Answer): string {
  const cookie = answer.cookies.find(({ name }) => name === COOKIE);
  return `${COOKIE}=${cookie?.value ?? ''}`;
}

/** An account, and what a device has that logged in to it. */
async function createDevice(headers: Record<string, string> = {}): Promise<Device> {
  const { phone_number: phoneNumber, user_id: userId } = await createAccount(app);
  const login = await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers });
  const { device_token: token } = login.json<TokenResponse & { device_token: string }>();
  return { phoneNumber, userId, token, cookie: cookieOf(login) };
}

t.test('A12 a device that logged in before is not kept waiting for what strangers get wrong', async (t) => {
  const { phoneNumber, token, cookie } = await createDevice();
  await fail(app, { phoneNumber }, 5);
  const right = { phoneNumber, password: GOOD_PASSWORD };
  t.equal((await tryToLogIn(app, right)).statusCode, 429, 'a stranger waits');
  for (const [what, headers] of Object.entries({ header: { 'x-device-token': token }, cookie: { cookie } })) {
    t.equal((await tryToLogIn(other, { ...right, headers })).statusCode, 200, `known by its ${what}`);
  }
  t.equal((await tryToLogIn(app, right)).statusCode, 429, 'the stranger waits on');
});

t.test('A12 nor for what others get wrong at its address', async (t) => {
  const { phoneNumber, token } = await createDevice();
  const address = '192.0.2.99';
  for (let attempt = 0; attempt < 100; attempt += 1) await tryToLogIn(app, { phoneNumber: nextNumber(), address });
  const right = { phoneNumber, password: GOOD_PASSWORD, address };
  t.equal((await tryToLogIn(app, right)).statusCode, 429);
  t.equal((await tryToLogIn(app, { ...right, headers: { 'x-device-token': token } })).statusCode, 200);
});

t.test('A12 a known device is held to a count of its own', async (t) => {
  const { phoneNumber, token } = await createDevice();
  const headers = { 'x-device-token': token };
  t.strictSame(await fail(app, { phoneNumber, headers }, 6), [401, 401, 401, 401, 401, 429]);
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 200, 'which is its own alone');
  await passSeconds(database, 60);
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers })).statusCode, 200);
  t.strictSame(await fail(app, { phoneNumber, headers }, 6), [401, 401, 401, 401, 401, 429], 'and begins again');
});

t.test('A12 a password that strangers had disabled lets a known device in, until it fails as often', async (t) => {
  const { phoneNumber, token } = await createDevice();
  const headers = { 'x-device-token': token };
  const failPatiently = async (of: Record<string, string>): Promise<void> => {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      await fail(app, { phoneNumber, headers: of }, 1);
      await passSeconds(database, 900);
    }
  };
  await failPatiently({});
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 401);
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers })).statusCode, 200);
  await failPatiently(headers);
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers })).statusCode, 401);
});

t.test('A12 what is no token of a device of this account makes nobody known', async (t) => {
  const { phoneNumber, userId, token } = await createDevice();
  const { token: foreign } = await createDevice();
  const [version, id, , code] = token.split('.');
  await fail(app, { phoneNumber }, 5);
  const table: Record<string, string> = {
    'somebody else’s': foreign,
    'one with this user put in': foreign.replace(/^(d1\.[^.]+\.)\d+/, `$1${userId}`),
    'one cut short': token.slice(0, -1),
    'one that is longer': `${token}A`,
    'one of another version': token.replace('d1', 'd2'),
    'one with a user more': `${version}.${id}.${userId}-1.${code}`,
    empty: '',
    'a very long one': 'x'.repeat(4_000),
  };
  for (const [what, value] of Object.entries(table)) {
    const headers = { 'x-device-token': value };
    t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers })).statusCode, 429, what);
  }
});

t.test('A12 a browser is known by each of the last five who logged in with it', async (t) => {
  const accounts = [await createDevice()];
  while (accounts.length < 6) accounts.push(await createDevice({ 'x-device-token': accounts.at(-1)?.token ?? '' }));
  const headers = { 'x-device-token': accounts.at(-1)?.token ?? '' };
  for (const [at, { phoneNumber }] of accounts.entries()) {
    await fail(app, { phoneNumber, address: `198.51.100.${at}` }, 5);
    const { statusCode } = await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers });
    t.equal(statusCode, at === 0 ? 429 : 200, `${accounts.length - at} back`);
  }
});

t.test('A12 registration makes a device known, logout does not undo it, and scripts cannot read it', async (t) => {
  const phoneNumber = nextNumber();
  const payload = { phone_number: phoneNumber, password: GOOD_PASSWORD };
  const registration = await app.inject({
    method: 'POST',
    url: '/api/register/?session=cookie',
    payload,
    headers: { origin: 'http://localhost:8000' },
  });
  const cookie = registration.cookies.find(({ name }) => name === COOKIE);
  t.match(cookie, { secure: true, httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 400 * 86_400 });
  t.notOk('device_token' in registration.json<object>(), 'in cookie mode it is in its cookie alone');
  const { csrf_token: csrfToken } = registration.json<{ csrf_token: string }>();
  const cookies = Object.fromEntries(registration.cookies.map(({ name, value }) => [name, value]));
  const logout = await app.inject({
    method: 'POST',
    url: '/api/logout/',
    cookies,
    headers: { origin: 'http://localhost:8000', 'x-csrf-token': csrfToken },
  });
  t.equal(logout.statusCode, 204);
  t.notOk(logout.cookies.some(({ name }) => name === COOKIE));
  await fail(app, { phoneNumber }, 5);
  const headers = { cookie: cookieOf(registration) };
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD, headers })).statusCode, 200);
});
