// If this breaks: whoever gets into one service can tell every user anything in the name of the other; or a release asks
// the broker for something that production does not allow, and nobody hears of it before it is deployed.
import { EVENTS_STREAM_NAME, SUBPROTOCOL, type TokenResponse } from '@infrasignal/shared';
import { startTestStack, waitFor, type TestNats, type TestStack } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, PermissionViolationError, type NatsConnection } from '@nats-io/transport-node';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { PROJECT_ROOT } from '@infrasignal/local-stack';
import t from 'tap';
import { WebSocket } from 'ws';
import { PASSWORDS, startConfiguredNats } from './configured-nats.ts';

const SECRET_KEY = 'only for this test, and long enough: 0123456789';
const AUTH_ENV = { NATS_USER: 'auth-service', NATS_PASSWORD: PASSWORDS.auth };
const NOTIFY_ENV = { NATS_USER: 'notify-service', NATS_PASSWORD: PASSWORDS.notify };

type Frame = Readonly<Record<string, unknown>>;

/** Connected as one of the services, with what the broker refused. */
async function connectAs(
  t: { teardown(handler: () => unknown): unknown },
  { url }: TestNats,
  user: keyof typeof PASSWORDS,
): Promise<{ connection: NatsConnection; refused: string[] }> {
  const name = `${user}-service`;
  const credentials = { user: name, pass: PASSWORDS[user], inboxPrefix: `_INBOX.${name}` };
  const connection = await connect({ servers: url, reconnect: false, ...credentials });
  t.teardown(() => connection.close());
  const refused: string[] = [];
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === 'error' && status.error instanceof PermissionViolationError) refused.push(status.error.subject);
    }
  })();
  return { connection, refused };
}

async function call(url: string, access: string | null, body?: object): Promise<Response> {
  return fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': randomUUID(),
      ...(access === null ? {} : { authorization: `Bearer ${access}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** The command for operators, as auth-service. */
async function runInfrasignal({ database, nats }: TestStack, ...args: string[]): Promise<Record<string, unknown>> {
  const options = ['--conditions=@infrasignal/source', '--import', 'tsx', 'services/auth-service/src/infrasignal.ts'];
  const env = { ...process.env, ...AUTH_ENV, DATABASE_URL: database.url, NATS_URL: nats.url, SECRET_KEY };
  const { stdout } = await promisify(execFile)(process.execPath, [...options, ...args, '--json'], { cwd: PROJECT_ROOT, env });
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function listen(url: string, access: string, after: string): Promise<{ frames: Frame[]; socket: WebSocket }> {
  const socket = new WebSocket(`${url.replace('http:', 'ws:')}/ws/notifications/${after}`, [SUBPROTOCOL], {
    headers: { authorization: `Bearer ${access}` },
  });
  const frames: Frame[] = [];
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
  await waitFor(() => frames.some(({ type }) => type === 'connected'));
  return { frames, socket };
}

const PERSON = { phone_number: '0123456789', password: 'correct horse battery staple' };

t.setTimeout(180_000);

t.test('with the permissions of deploy/nats the whole system does what it is there for', async (t) => {
  const stack = await startTestStack(t, {
    hasGateway: false,
    startNats: (t) => startConfiguredNats(t),
    authEnv: { ...AUTH_ENV, SECRET_KEY },
    notifyEnv: NOTIFY_ENV,
  });
  const { auth, notify, nats } = stack;
  const registered = (await (await call(`${auth.url}/api/register/`, null, PERSON)).json()) as TokenResponse;
  const { access, user_id: userId } = registered;
  const first = await listen(notify.url, access, '');
  await call(`${auth.url}/api/login/`, null, PERSON);
  await waitFor(() => first.frames.some(({ type }) => type === 'user.login'), { description: 'a login to be told' });
  const { cursor } = first.frames.at(-1) as { cursor: string };
  first.socket.terminate();

  const scopes = ['notifications:send', 'notifications:broadcast', 'presence:read'].flatMap((scope) => ['--scope', scope]);
  const client = await runInfrasignal(stack, 'service-clients', 'create', 'shop', ...scopes);
  const { client_id, client_secret } = client;
  const answer = await call(`${auth.url}/api/service/token/`, null, { client_id, client_secret });
  const service = ((await answer.json()) as { access: string }).access;
  const news = { to: 'everybody', type: 'app.news', messages: { fr: 'Une nouvelle', en: 'Some news' }, data: {} };
  t.equal((await call(`${auth.url}/api/notifications/`, service, news)).status, 202);
  const second = await listen(notify.url, access, `?after=${cursor}`);
  t.equal(second.frames[0]?.recovered, true, 'what was missed is found');
  await waitFor(() => second.frames.some(({ type }) => type === 'app.news'), { description: 'the broadcast to be told' });

  const isOnline = async (): Promise<boolean> => {
    const presence = await call(`${notify.url}/api/presence/${userId}`, service);
    return ((await presence.json()) as { is_online?: boolean }).is_online === true;
  };
  await waitFor(isOnline, { description: 'the user to be online' });
  const history = await call(`${notify.url}/api/notifications/`, access);
  t.match(await history.json(), { notifications: [{}, {}, {}] }, 'registration, login and news');
  await call(`${auth.url}/api/logout/`, access, {});
  await waitFor(() => second.socket.readyState === WebSocket.CLOSED, { description: 'the logout to close the socket' });

  const violations = nats.logs().split('\n').filter((line) => /violation|authorization|authentication/i.test(line));
  t.same(violations, [], 'nothing was refused on the way');
  const wording = /permission|violation/i;
  t.notMatch(`${auth.logs()}${notify.logs()}`, wording, 'and no service was told no');
});

t.test('the broker refuses what a service has no business with', async (t) => {
  const nats = await startConfiguredNats(t);
  await t.rejects(connect({ servers: nats.url, reconnect: false }), { message: /authorization/i }, 'nobody without a name');
  const wrong = { user: 'auth-service', pass: PASSWORDS.notify };
  await t.rejects(connect({ servers: nats.url, reconnect: false, ...wrong }), { message: /authorization/i });

  const auth = await connectAs(t, nats, 'auth');
  const notify = await connectAs(t, nats, 'notify');
  const manager = await jetstreamManager(auth.connection);
  await manager.streams.add({ name: EVENTS_STREAM_NAME, subjects: ['users.>', 'broadcasts.>'] });

  const refusedPublishes = {
    notify: [
      'users.1.user.login',
      'users.1.session.revoked',
      'broadcasts.app.news',
      'security.password_spraying',
      'infrasignal.outbox.hint',
      '_INBOX.auth-service.1',
      '$JS.API.STREAM.CREATE.EVENTS',
      '$JS.API.STREAM.CREATE.ANY',
      '$JS.API.STREAM.UPDATE.EVENTS',
      '$JS.API.STREAM.UPDATE.PRESENCE',
      '$JS.API.STREAM.DELETE.EVENTS',
      '$JS.API.STREAM.PURGE.EVENTS',
      '$JS.API.STREAM.MSG.DELETE.EVENTS',
      '$JS.API.STREAM.RESTORE.EVENTS',
      '$JS.API.STREAM.MSG.GET.SECURITY',
      '$JS.API.CONSUMER.CREATE.SECURITY.c',
      '$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.c',
    ],
    auth: [
      'presence.1',
      'infrasignal.notify.sockets',
      'infrasignal.notify.presence-keeper',
      '_INBOX.notify-service.1',
      '$JS.API.STREAM.DELETE.EVENTS',
      '$JS.API.STREAM.PURGE.EVENTS',
      '$JS.API.STREAM.MSG.DELETE.EVENTS',
      '$JS.API.STREAM.CREATE.ANY',
      '$JS.API.CONSUMER.CREATE.EVENTS.c',
    ],
  };
  const refusedSubscriptions = {
    notify: ['>', 'users.>', 'users.1.user.login', '$JS.>', '_INBOX.>', '_INBOX.auth-service.>', 'infrasignal.outbox.hint'],
    auth: ['>', 'users.>', 'presence.*', '_INBOX.>', '_INBOX.notify-service.>', 'infrasignal.notify.sockets'],
  };
  for (const [name, { connection, refused }] of Object.entries({ auth, notify }) as [keyof typeof PASSWORDS, typeof auth][]) {
    for (const subject of refusedPublishes[name]) connection.publish(subject, '{}');
    await connection.flush();
    await waitFor(() => refused.length >= refusedPublishes[name].length, { description: 'every refusal' });
    t.same(refused.splice(0), refusedPublishes[name], `${name}-service may not publish any of these`);
    for (const subject of refusedSubscriptions[name]) connection.subscribe(subject, { callback: () => undefined });
    await connection.flush();
    await waitFor(() => refused.length >= refusedSubscriptions[name].length, { description: 'every refusal' });
    t.same(refused.splice(0), refusedSubscriptions[name], `${name}-service may not listen to any of these`);
  }
  const { state } = await manager.streams.info(EVENTS_STREAM_NAME);
  t.equal(state.messages, 0, 'and nothing of it was stored');
});
