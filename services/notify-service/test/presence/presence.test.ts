// If this breaks: support staff see people online who left when a server died, or miss those who are there.
import { PRESENCE_KEEPER_STREAM_NAME, SCOPE_READ_PRESENCE } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import t from 'tap';
import { connectSocket, type SocketClient } from '../support/socket-client.ts';
import { startNotify, startNotifyProcess, startWorld, waitForReady, type World } from '../support/notify.ts';

/** A keeper's claim, a lease and the time in which a new keeper only listens, one after the other, and room for noise. */
const TAKEOVER_TIMEOUT_MS = 45_000;

const scope = { claims: { scope: SCOPE_READ_PRESENCE } };

/** `+7` for a user that came online, `-7` for one that went offline. */
function changesIn(client: SocketClient): string[] {
  return client.frames
    .filter(({ type }) => type === 'user.online' || type === 'user.offline')
    .map(({ type, user_id: userId }) => `${type === 'user.online' ? '+' : '-'}${String(userId)}`);
}

async function waitForKeeper(world: World): Promise<void> {
  const connection = await connect({ servers: world.nats.url });
  const { streams } = await jetstreamManager(connection);
  await waitFor(
    async () => (await streams.info(PRESENCE_KEEPER_STREAM_NAME).catch(() => null))?.state.messages === 1,
    { description: 'a node to keep presence', timeoutMs: TAKEOVER_TIMEOUT_MS },
  );
  await connection.close();
}

t.test('presence is right when nodes, their keeper and the broker are killed', { timeout: 180_000 }, async (t) => {
  const world = await startWorld(t);
  const doomed = await startNotifyProcess(t, world);
  await waitForKeeper(world);
  const { app, url } = await startNotify(t, world);
  const open = (userId: number, at = url): Promise<SocketClient> =>
    connectSocket(at, { token: world.issuer.token(userId) });
  const told = (watcher: SocketClient, ...expected: string[]): Promise<unknown> =>
    waitFor(() => expected.every((change) => changesIn(watcher).includes(change)), {
      description: expected.join(' '),
      timeoutMs: TAKEOVER_TIMEOUT_MS,
    });
  const ask = async (userId: number | string, token: string | null = world.issuer.token(1, scope)) => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/api/presence/${userId}/`, { headers });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  const watcher = await connectSocket(url, { token: world.issuer.token(1, scope) });
  const deaf = await connectSocket(url, { token: world.issuer.token(2) });
  const first = await open(7, doomed.url);
  const moving = await open(8, doomed.url);
  await open(9, doomed.url);
  await told(watcher, '+1', '+2', '+7', '+8', '+9');
  t.notOk(app.presenceKeeper.isKeeping, 'the other node keeps presence, and is killed next');

  const second = await open(7);
  first.close();
  await doomed.kill();
  await moving.waitForClose();
  await open(8);
  await told(watcher, '-9');
  t.ok(app.presenceKeeper.isKeeping, 'another node has taken over');

  await world.nats.kill();
  await world.nats.restart();
  await waitForReady(url);
  await open(10);
  await told(watcher, '+10');
  t.strictSame(
    changesIn(watcher).sort(),
    ['+1', '+10', '+2', '+7', '+8', '+9', '-9'],
    'each change once; none for those who stayed, moved, or were there when the broker restarted',
  );
  t.strictSame(changesIn(deaf), [], 'who has not the scope hears nothing');
  second.close();
  await told(watcher, '-7');

  t.match(await ask(8), { status: 200, body: { user_id: 8, is_online: true, since: /^20.*Z$/ } });
  t.match(await ask(9), { status: 200, body: { user_id: 9, is_online: false, since: /^20.*Z$/ } });
  t.strictSame(await ask(99), { status: 200, body: { user_id: 99, is_online: false, since: null } });
  t.match(await ask(8, null), { status: 401, body: { code: 'invalid_token' } });
  t.match(await ask(8, world.issuer.token(8)), { status: 403, body: { code: 'insufficient_scope' } });
  for (const id of ['0', '-1', '*', '>', '7.8', '1e3', '9007199254740993', 'abc']) {
    t.match(await ask(encodeURIComponent(id)), { status: 400, body: { code: 'invalid_request' } }, `refused: ${id}`);
  }
});
