/**
 * If this breaks: every client written for the original application stops understanding its notifications, or the
 * public feed of a developer's machine is open to everybody in production.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket, expectRefusal } from './support/socket-client.ts';

const REGISTERED = {
  type: 'user.registered',
  status: 'success',
  user_id: 1,
  phone_number: '0123456789',
  message: 'Nouvel utilisateur inscrit',
};
const LOGGED_IN = { ...REGISTERED, type: 'user.login', message: 'Utilisateur connecté' };
const DATA = { user_id: 1, phone_number: '0123456789' };

t.test('R1 the inherited feed', async (t) => {
  const world = await startWorld(t);
  const debug = await startNotify(t, world, { DEBUG: 'true' });
  const strict = await startNotify(t, world);

  await t.test('R1 with DEBUG an anonymous socket is sent the two messages key for key, and nothing else', async (t) => {
    for (const path of ['/ws/notifications/', '/ws/notifications']) {
      const client = await connectSocket(debug.url, { isV1: false, path, headers: { origin: 'https://anywhere.example' } });
      await world.publisher.publish(1, { type: 'user.registered', data: DATA });
      await world.publisher.publish(1, { data: DATA });
      await client.waitForNotifications(2);
      t.same(client.frames, [REGISTERED, LOGGED_IN]);
      t.same(Object.keys(client.frames[0]!), Object.keys(REGISTERED), 'in the order of the documentation');
      t.equal(client.socket.protocol, '', 'no subprotocol is answered');
      client.close();
    }
  });

  await t.test('R1 without DEBUG the anonymous handshake is 401', async (t) => {
    for (const isV1 of [false, true]) {
      const { status, headers, body } = await expectRefusal(strict.url, { isV1 });
      t.equal(status, 401);
      t.equal(headers['www-authenticate'], 'Bearer');
      t.match(headers['content-type'], 'application/problem+json');
      t.match(body, { code: 'invalid_token', status: 401, instance: '/ws/notifications/' });
    }
  });

  await t.test('R1 an authenticated plain socket hears its own user alone, in the inherited form', async (t) => {
    const nodes = [debug, strict];
    for (const { url } of nodes) {
      const client = await connectSocket(url, { isV1: false, token: world.issuer.token(7) });
      await world.publisher.publish(8);
      const { position } = await world.publisher.publish(7, { data: { user_id: 7, phone_number: '0700000007' } });
      await client.waitForNotifications(1);
      t.same(client.frames, [{ ...LOGGED_IN, user_id: 7, phone_number: '0700000007' }]);
      client.close();
      // Each node reads for itself: what one has yet to read would be news to whoever connects to it next.
      await waitFor(() => nodes.every(({ app }) => app.eventConsumer.readThrough >= position));
    }
  });

  await t.test('R1 an event that the inherited application did not have is not told to its clients', async (t) => {
    const client = await connectSocket(debug.url, { isV1: false });
    await world.publisher.publish(1, { type: 'user.email_changed', data: { anything: true } });
    await world.publisher.publish(1, { version: 2, data: { user_id: 1, login: 'of a later release' } });
    await world.publisher.publish(1, { data: DATA });
    await client.waitForNotifications(1);
    t.same(client.frames, [LOGGED_IN]);
    t.equal(debug.app.eventConsumer.stats.unknownEvents >= 2, true, 'counted');
    client.close();
  });
});
