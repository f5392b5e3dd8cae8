/**
 * If this breaks: one message that a newer release, or a mistake, put into the stream stops every notification of
 * every user; or a broken one is shown to somebody.
 */
import { waitFor } from '@infrasignal/testkit';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { startNotify, startNotifyProcess, startWorld } from './support/notify.ts';
import { connectSocket } from './support/socket-client.ts';

t.test('R15 events of an unknown type or version', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { DEBUG: 'true' });
  const { publisher, issuer } = world;
  const v1 = await connectSocket(url, { token: issuer.token(1) });
  const feed = await connectSocket(url);
  const plain = await connectSocket(url, { token: issuer.token(1), isV1: false });
  await publisher.publish(1);
  await publisher.publish(1, { type: 'user.moved_house', data: { street: 'Rue de l’Été', deep: [1, { a: null }] } });
  await publisher.publish(1, { version: 2, data: { user_id: 1, method: 'passkey' } });
  await publisher.publish(1);

  await t.test('R15 are relayed with their data to clients of infrasignal.v1, without a hole', async (t) => {
    for (const client of [v1, feed]) {
      await client.waitForNotifications(4);
      t.same(client.seqs, [1, 2, 3, 4]);
      t.match(client.notifications[1], { type: 'user.moved_house', data: { street: 'Rue de l’Été', deep: [1, { a: null }] } });
      t.match(client.notifications[2], { type: 'user.login', data: { user_id: 1, method: 'passkey' } });
      t.notOk('message' in client.notifications[2]!, 'nothing is made up that the event may not mean any more');
    }
    const resumed = await connectSocket(url, { token: issuer.token(1), after: '0' });
    await resumed.waitForNotifications(4);
    t.same(resumed.seqs, [1, 2, 3, 4], 'in a replay too');
    resumed.close();
  });

  await t.test('R15 are left out for old clients, and counted', async (t) => {
    await waitFor(() => plain.notifications.length === 2);
    t.same(plain.inherited.map(({ type }) => type), ['user.login', 'user.login']);
    t.equal(app.eventConsumer.stats.unknownEvents, 2);
  });
});

t.test('R15 R7 sessions that a newer release ended are ended on nodes of this one', async (t) => {
  const { publisher, issuer, ...world } = await startWorld(t);
  const { url } = await startNotify(t, { publisher, issuer, ...world });
  const news = { 'a new reason': { reason: 'device_lost' }, 'a new version': { why: { code: 7 } } };
  let version = 1;
  for (const [what, members] of Object.entries(news)) {
    const sid = randomUUID();
    const token = issuer.token(1, { claims: { sid } });
    const [client, other] = [await connectSocket(url, { token }), await connectSocket(url, { token: issuer.token(1) })];
    await publisher.publish(1, { type: 'session.revoked', version, data: { user_id: 1, session_ids: [sid], ...members } });
    t.equal((await client.waitForClose()).code, 4501, what);
    await other.waitForNotifications(1);
    t.equal(other.closed, null, 'and no other');
    await t.rejects(connectSocket(url, { token }), { message: /401/ });
    other.close();
    version += 1;
  }
});

t.test('R15 invalid messages', async (t) => {
  const world = await startWorld(t);
  const node = await startNotifyProcess(t, world, { LOG_LEVEL: 'info', DEBUG: 'true' });
  const { publisher, issuer } = world;
  const own = await connectSocket(node.url, { token: issuer.token(1) });
  const anonymous = await connectSocket(node.url, { isV1: false });
  const everything = await connectSocket(node.url);
  await publisher.publish(1);

  const valid = publisher.envelope(1, { seq: 2 });
  const invalid: Record<string, [subject: string, body: string]> = {
    'no JSON': ['users.1.user.login', 'rubbish'],
    'no UTF-8': ['users.1.user.login', '\u{1F600}'.slice(0, 1)],
    'not an object': ['users.1.user.login', '[]'],
    'an empty body': ['users.1.user.login', ''],
    'no seq': ['users.1.user.login', JSON.stringify({ ...valid, seq: undefined })],
    'a seq of 0': ['users.1.user.login', JSON.stringify({ ...valid, seq: 0 })],
    'another type than its subject': ['users.1.user.registered', JSON.stringify(valid)],
    'another user than its subject': ['users.2.user.login', JSON.stringify(valid)],
    'data that breaks its schema': ['users.1.user.login', JSON.stringify({ ...valid, data: { user_id: 'one' } })],
    'a subject without a user': ['users.nobody.user.login', JSON.stringify(valid)],
    'a subject without a type': ['users.1', JSON.stringify(valid)],
  };
  for (const [subject, body] of Object.values(invalid)) {
    await publisher.publishRaw(subject, body);
    await publisher.publishRaw(subject, body);
  }
  // The place of seq 2 was taken by what could not be delivered.
  await publisher.publish(1, { seq: 3 });
  await publisher.publish(1, { seq: 4 });

  await t.test('R15 go to nobody, and stop nothing', async (t) => {
    for (const client of [own, everything]) {
      await client.waitForNotifications(3);
      t.same(client.seqs, [1, 3, 4]);
      t.equal(client.closed, null, 'the jump that they explain is no hole');
    }
    await waitFor(() => anonymous.notifications.length === 3);
    t.equal((await fetch(`${node.url}/readyz`)).status, 200);
  });

  await t.test('R15 a resume passes over them too', async (t) => {
    for (const after of ['0', '1', own.notifications[0]!.cursor]) {
      const client = await connectSocket(node.url, { token: issuer.token(1), after });
      t.match(client.connected, { recovered: true });
      await waitFor(() => client.seqs.at(-1) === 4);
      client.close();
    }
    await publisher.publishRaw('users.1.user.login', 'rubbish as the newest message');
    const client = await connectSocket(node.url, { token: issuer.token(1), after: '3' });
    t.match(client.connected, { recovered: true, seq: 3 });
    await client.waitForNotifications(1);
    await publisher.publish(1, { seq: 5 });
    await client.waitForNotifications(2);
    t.same(client.seqs, [4, 5]);
    client.close();
  });

  await t.test('R15 are logged once each, without their content', async (t) => {
    await node.stop();
    const lines = node.logs().split('\n').filter((line) => line.includes('not a valid event'));
    const complaints = lines.map((line) => JSON.parse(line) as { reason: string; subject: string });
    const kinds = new Set(complaints.map(({ reason, subject }) => `${reason} ${subject}`));
    t.equal(complaints.length, kinds.size, 'once per reason and subject');
    t.same([...new Set(complaints.map(({ reason }) => reason))].sort(), ['data', 'envelope', 'json', 'mismatch', 'subject']);
    t.notOk(node.logs().includes('rubbish'));
  });

  await t.test('R15 a jump that nothing explains is a hole: resync, and an honest answer', async (t) => {
    const { url, app } = await startNotify(t, world);
    const client = await connectSocket(url, { token: issuer.token(9) });
    const plain = await connectSocket(url, { token: issuer.token(9), isV1: false });
    await publisher.publish(9);
    await client.waitForNotifications(1);
    await publisher.publish(9, { seq: 3 });
    t.match(await client.waitForClose(), { code: 4001, reason: 'resync' });
    await waitFor(() => plain.notifications.length === 2);
    t.equal(plain.closed, null, 'a client without a cursor would only lose more by reconnecting');
    const again = await connectSocket(url, { token: issuer.token(9), after: client.cursor });
    t.match(again.connected, { recovered: false, reason: 'evicted', seq: 3 });
    await publisher.publish(9);
    await again.waitForNotifications(1);
    t.same(again.seqs, [4]);
    t.equal(app.hub.stats.closesByCode.get(4001), 1);
    again.close();
    plain.close();
  });
});
