// If this breaks, an event leads back to no request: whoever asks why a device was signed out, or where a notification
// stayed, finds nothing in the logs and spans of what caused it.
import { createTraceContext, formatTraceparent, parseTraceparent } from '@infrasignal/service-kit';
import type { TokenResponse } from '@infrasignal/shared';
import { randomUUID } from 'node:crypto';
import tap, { test } from 'tap';
import { GOOD_PASSWORD, startAuth, type AuthFixture } from '../auth-fixture.ts';
import { infrasignal } from '../command-line.ts';
import { createSender, TEXTS, type Sender } from '../notifications/sender.ts';
import { createAccount, logIn, nextNumber } from '../requests.ts';

const ORIGIN = 'https://app.example.com';

interface Call {
  readonly url?: string;
  readonly payload?: object;
  readonly headers?: Record<string, string>;
  readonly cookies?: Record<string, string>;
}

interface Case {
  readonly title: string;
  /** As the OpenAPI document names it. */
  readonly route: string;
  /** What it writes, in the order of their types. */
  readonly types: readonly string[];
  /** Makes what the request is about, and the request. */
  readonly prepare: () => Promise<Call>;
}

interface Row {
  readonly event_id: string;
  readonly type: string;
  readonly traceparent: string | null;
}

let fixture: AuthFixture;
let sender: Sender;

tap.before(async () => {
  fixture = await startAuth(tap, { ALLOWED_ORIGINS: ORIGIN, ALLOWED_HOSTS: 'localhost' });
  sender = await createSender(fixture, 'notifications:send', 'notifications:broadcast');
});

const bearer = ({ access }: { access: string }): Record<string, string> => ({ authorization: `Bearer ${access}` });

const sessionIdOf = ({ refresh }: TokenResponse): string => refresh.split('.')[1] ?? '';

/** The account's second session, beside that of its registration. */
async function logInAgain({ phone_number }: TokenResponse): Promise<TokenResponse> {
  return (await logIn(fixture.app, { phone_number, password: GOOD_PASSWORD })).json();
}

/** A browser's session: its cookies, and the headers that its page adds. */
async function openCookieSession(): Promise<{ cookies: Record<string, string>; headers: Record<string, string> }> {
  const { phone_number } = await createAccount(fixture.app);
  const answer = await fixture.app.inject({
    method: 'POST',
    url: '/api/login/?session=cookie',
    headers: { origin: ORIGIN },
    payload: { phone_number, password: GOOD_PASSWORD },
  });
  const { csrf_token: csrf } = answer.json<{ csrf_token: string }>();
  const cookies = Object.fromEntries(answer.cookies.map(({ name, value }) => [name, value]));
  return { cookies, headers: { origin: ORIGIN, 'x-csrf-token': csrf } };
}

/** Makes the newest tokens of every session used ones whose grace has run out. */
async function useUpRefreshTokens(): Promise<void> {
  await fixture.database.query(
    `update sessions set refresh_counter = refresh_counter + 1, rotated_at = now() - interval '1 minute'`,
  );
}

const ofAccounts: Case[] = [
  {
    title: 'a registration',
    route: 'POST /api/register',
    types: ['user.registered'],
    prepare: async () => ({ payload: { phone_number: nextNumber(), password: GOOD_PASSWORD } }),
  },
  {
    title: 'another e-mail address',
    route: 'PATCH /api/me',
    types: ['user.updated'],
    prepare: async () => ({
      headers: bearer(await createAccount(fixture.app)),
      payload: { email: 'ada@example.com', current_password: GOOD_PASSWORD },
    }),
  },
  {
    title: 'another password, which ends the other sessions',
    route: 'POST /api/password/change',
    types: ['session.revoked', 'user.password_changed'],
    prepare: async () => {
      const tokens = await createAccount(fixture.app);
      await logInAgain(tokens);
      const payload = { current_password: GOOD_PASSWORD, new_password: 'another good pass phrase' };
      return { headers: bearer(tokens), payload };
    },
  },
  {
    title: 'the end of an account and of its sessions',
    route: 'DELETE /api/me',
    types: ['session.revoked', 'user.deleted'],
    prepare: async () => ({
      headers: bearer(await createAccount(fixture.app)),
      payload: { current_password: GOOD_PASSWORD },
    }),
  },
];

const ofSessions: Case[] = [
  {
    title: 'a login',
    route: 'POST /api/login',
    types: ['user.login'],
    prepare: async () => {
      const { phone_number } = await createAccount(fixture.app);
      return { payload: { phone_number, password: GOOD_PASSWORD } };
    },
  },
  {
    title: 'a used refresh token that comes back',
    route: 'POST /api/token/refresh',
    types: ['session.revoked'],
    prepare: async () => {
      const { refresh } = await createAccount(fixture.app);
      await useUpRefreshTokens();
      return { payload: { refresh } };
    },
  },
  {
    title: 'a used refresh token that comes back in its cookie',
    route: 'POST /api/token/refresh',
    types: ['session.revoked'],
    prepare: async () => {
      const call = await openCookieSession();
      await useUpRefreshTokens();
      return { url: '/api/token/refresh/?session=cookie', ...call };
    },
  },
  {
    title: 'a logout by access token',
    route: 'POST /api/logout',
    types: ['session.revoked'],
    prepare: async () => ({ headers: bearer(await createAccount(fixture.app)) }),
  },
  {
    title: 'a logout by refresh token',
    route: 'POST /api/logout',
    types: ['session.revoked'],
    prepare: async () => ({ payload: { refresh: (await createAccount(fixture.app)).refresh } }),
  },
  {
    title: 'a logout by cookie',
    route: 'POST /api/logout',
    types: ['session.revoked'],
    prepare: openCookieSession,
  },
  {
    title: 'a logout everywhere',
    route: 'POST /api/logout/all',
    types: ['session.revoked'],
    prepare: async () => ({ headers: bearer(await createAccount(fixture.app)) }),
  },
  {
    title: 'the end of another session',
    route: 'DELETE /api/sessions/{session_id}',
    types: ['session.revoked'],
    prepare: async () => {
      const tokens = await createAccount(fixture.app);
      const other = await logInAgain(tokens);
      return { url: `/api/sessions/${sessionIdOf(other)}/`, headers: bearer(tokens) };
    },
  },
];

const notification = (to: unknown): Call => ({
  headers: { ...bearer(sender), 'idempotency-key': randomUUID() },
  payload: { to, type: 'app.order_shipped', messages: TEXTS },
});

const ofNotifications: Case[] = [
  {
    title: 'a notification to two users',
    route: 'POST /api/notifications',
    types: ['app.order_shipped', 'app.order_shipped'],
    prepare: async () => {
      const [one, other] = [await createAccount(fixture.app), await createAccount(fixture.app)];
      return notification([one.user_id, other.user_id]);
    },
  },
  {
    title: 'a notification to everybody',
    route: 'POST /api/notifications',
    types: ['app.order_shipped'],
    prepare: async () => notification('everybody'),
  },
];

const cases = [...ofAccounts, ...ofSessions, ...ofNotifications];

/** Routes that change something, but nothing that anybody is told of. */
const silentRoutes = ['POST /api/service/token', 'POST /api/token/verify'];

/** The events that something wrote, in the order of their types. */
async function eventsOf(write: () => Promise<unknown>): Promise<Row[]> {
  const read = (): Promise<Row[]> =>
    fixture.database.query<Row>('select event_id, type, traceparent from outbox order by type, seq');
  const before = new Set((await read()).map(({ event_id: id }) => id));
  await write();
  return (await read()).filter(({ event_id: id }) => !before.has(id));
}

for (const { title, route, types, prepare } of cases) {
  test(`${title} writes events of its request’s trace`, async (t) => {
    const [method, path] = route.split(' ') as ['POST', string];
    const { url = path, headers, ...call } = await prepare();
    const caller = { ...createTraceContext(null), isSampled: true };
    const traced = { ...headers, traceparent: formatTraceparent(caller) };
    const rows = await eventsOf(() => fixture.app.inject({ method, url, headers: traced, ...call }));
    t.strictSame(rows.map(({ type }) => type), types);
    const [first, ...others] = rows.map(({ traceparent }) => traceparent);
    t.match(parseTraceparent(first), { traceId: caller.traceId, isSampled: true });
    t.not(parseTraceparent(first)?.spanId, caller.spanId, 'caused by the request, not by what made it');
    for (const other of others) t.equal(other, first, 'all of them by the same request');
  });
}

test('a request without a trace begins one', async (t) => {
  const rows = await eventsOf(() => createAccount(fixture.app));
  t.match(parseTraceparent(rows[0]?.traceparent), { isSampled: false });
});

test('what an operator orders belongs to no trace', async (t) => {
  const { user_id: userId, phone_number } = await createAccount(fixture.app);
  const order = async (...argv: string[]): Promise<void> => {
    const { code, error } = await infrasignal(fixture, ...argv);
    t.equal(code, 0, error);
  };
  const rows = await eventsOf(async () => {
    await order('users', 'revoke-sessions', String(userId));
    await logIn(fixture.app, { phone_number, password: GOOD_PASSWORD });
    await order('users', 'disable', String(userId));
    await order('users', 'delete', String(userId), '--yes');
  });
  const causedByNone = rows.filter(({ type }) => type !== 'user.login');
  t.strictSame(causedByNone.map(({ type, traceparent }) => [type, traceparent]), [
    ['session.revoked', null],
    ['session.revoked', null],
    ['user.deleted', null],
  ]);
});

test('every route that changes something is among these', async (t) => {
  const { paths } = (await fixture.app.inject('/api/openapi.json')).json<{ paths: Record<string, object> }>();
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const known = new Set([...cases.map(({ route }) => route), ...silentRoutes]);
  t.strictSame(routes.filter((route) => !route.startsWith('GET ')).sort(), [...known].sort());
});
