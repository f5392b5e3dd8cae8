// If this breaks: whoever locks out a lost phone, changes a password or deletes an account goes on being listened to.
import { SUBPROTOCOL, BEARER_SUBPROTOCOL_PREFIX, type TokenResponse } from '@infrasignal/shared';
import { startTestStack, waitFor, type TestStack } from '@infrasignal/testkit';
import { test } from 'tap';
import { WebSocket } from 'ws';

const PASSWORD = 'correct horse battery staple';

async function call(stack: TestStack, method: string, path: string, body: object, access?: string): Promise<Response> {
  return fetch(`${stack.url}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(access === undefined ? {} : { authorization: `Bearer ${access}` }),
    },
    body: JSON.stringify(body),
  });
}

interface Listener {
  readonly tokens: TokenResponse;
  closedWith: number | null;
  isOpen: boolean;
}

async function listen(stack: TestStack, tokens: TokenResponse): Promise<Listener> {
  const listener: Listener = { tokens, closedWith: null, isOpen: false };
  const url = `${stack.url.replace('http:', 'ws:')}/ws/notifications/`;
  const socket = new WebSocket(url, [SUBPROTOCOL, BEARER_SUBPROTOCOL_PREFIX + tokens.access]);
  socket.on('message', () => (listener.isOpen = true));
  socket.on('close', (code) => (listener.closedWith = code));
  socket.on('error', () => (listener.closedWith ??= 0));
  await waitFor(() => listener.isOpen || listener.closedWith !== null);
  return listener;
}

async function signIn(stack: TestStack, path: string, phoneNumber: string): Promise<TokenResponse> {
  const response = await call(stack, 'POST', path, { phone_number: phoneNumber, password: PASSWORD });
  return (await response.json()) as TokenResponse;
}

test('A26 R7 every way to end sessions closes exactly their sockets, and auth and notify refuse their tokens', async (t) => {
  const stack = await startTestStack(t);
  const ways: [what: string, end: (own: TokenResponse) => Promise<Response>, whose: 'own' | 'others' | 'all'][] = [
    ['logout', ({ refresh }) => call(stack, 'POST', '/api/logout/', { refresh }), 'own'],
    ['logout by access token', ({ access }) => call(stack, 'POST', '/api/logout/', {}, access), 'own'],
    ['logout of the others', ({ access }) => call(stack, 'POST', '/api/logout/all/', { keep_current: true }, access), 'others'],
    ['logout everywhere', ({ access }) => call(stack, 'POST', '/api/logout/all/', {}, access), 'all'],
    [
      'password change',
      ({ access }) =>
        call(stack, 'POST', '/api/password/change/', { current_password: PASSWORD, new_password: `${PASSWORD} 2` }, access),
      'others',
    ],
    ['deletion', ({ access }) => call(stack, 'DELETE', '/api/me/', { current_password: PASSWORD }, access), 'all'],
  ];
  for (const [at, [what, end, whose]] of ways.entries()) {
    const number = `01234567${String(at).padStart(2, '0')}`;
    const own = await listen(stack, await signIn(stack, '/api/register/', number));
    const other = await listen(stack, await signIn(stack, '/api/login/', number));
    const stranger = await listen(stack, await signIn(stack, '/api/register/', `01334567${String(at).padStart(2, '0')}`));
    t.ok((await end(own.tokens)).ok, what);
    const ended = { own: [own], others: [other], all: [own, other] }[whose];
    await waitFor(() => ended.every(({ closedWith }) => closedWith !== null), { description: `${what} to close sockets` });
    for (const { tokens, closedWith } of ended) {
      t.equal(closedWith, 4501, what);
      t.equal((await call(stack, 'POST', '/api/token/verify/', { token: tokens.access })).status, 401, `${what}: auth`);
      t.equal((await call(stack, 'POST', '/api/token/refresh/', { refresh: tokens.refresh })).status, 401, what);
      t.notOk((await listen(stack, tokens)).isOpen, `${what}: notify refuses the token`);
    }
    const staying = [own, other, stranger].filter((listener) => !ended.includes(listener));
    t.ok(staying.every(({ closedWith }) => closedWith === null), `${what}: nobody else is touched`);
  }
});
