// If this breaks: whoever holds a stolen phone goes on hearing everything after the owner has locked it out.
import { sessionRevoked } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { connectSocket, expectRefusal } from './support/socket-client.ts';
import { listenNotify, startNotify, startNotifyProcess, startWorld, type World } from './support/notify.ts';

async function revoke({ publisher }: World, userId: number, ...sessionIds: string[]): Promise<void> {
  const data = { user_id: userId, session_ids: sessionIds, reason: 'logout' };
  await publisher.publish(userId, { type: sessionRevoked.type, data });
}

t.test('R7 a revocation closes exactly its session’s sockets, plain, v1 and the feed of everything', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  const [mine, other] = [randomUUID(), randomUUID()];
  const token = (sid: string, scope?: string): string =>
    world.issuer.token(7, { claims: { sid, ...(scope === undefined ? {} : { scope }) } });
  const closing = [
    await connectSocket(url, { token: token(mine) }),
    await connectSocket(url, { token: token(mine), isV1: false }),
    await connectSocket(url, { token: token(mine, 'notifications:all') }),
  ];
  const staying = [
    await connectSocket(url, { token: token(other) }),
    await connectSocket(url, { token: world.issuer.token(8) }),
    await connectSocket(url, { token: world.issuer.token(9, { claims: { scope: 'notifications:all' } }) }),
  ];
  await revoke(world, 7, mine);
  for (const socket of closing) t.strictSame(await socket.waitForClose(), { code: 4501, reason: 'session_revoked' });
  t.match(closing[0]?.notifications.at(-1), { type: 'session.revoked', data: { reason: 'logout' } }, 'it is told why');
  t.strictSame(closing[1]?.frames, [], 'old clients are told nothing that they do not know');

  await world.publisher.publish(7);
  await staying[0]?.waitForNotifications(2);
  t.ok(staying.every((socket) => socket.closed === null), 'nobody else is touched');
  const refusal = await expectRefusal(url, { token: token(mine) });
  t.equal(refusal.status, 401, 'R3 and the token opens nothing any more');
  t.equal(refusal.body.code, 'invalid_token');
});

t.test('R7 a logout while the broker was away closes the sockets as soon as it is back', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  const sid = randomUUID();
  const socket = await connectSocket(url, { token: world.issuer.token(7, { claims: { sid } }) });
  await world.nats.kill();
  const revoked = revoke(world, 7, sid); // as the outbox does: tried until the broker has it
  await world.nats.restart();
  await revoked;
  t.equal((await socket.waitForClose()).code, 4501);
});

t.test('R7 a node that was killed knows the ended sessions before it lets anybody in', async (t) => {
  const world = await startWorld(t);
  const node = await startNotifyProcess(t, world);
  const revoked = Array.from({ length: 300 }, () => randomUUID());
  await node.kill();
  for (const [at, sid] of revoked.entries()) await revoke(world, 100 + (at % 50), sid);
  await node.restart();
  const answers = await Promise.all(
    revoked.map((sid, at) => expectRefusal(node.url, { token: world.issuer.token(100 + (at % 50), { claims: { sid } }) })),
  );
  t.ok(answers.every(({ status }) => status === 401), 'each of 300 ended sessions is refused from the first moment');
  const alive = await connectSocket(node.url, { token: world.issuer.token(100) });
  t.equal(alive.connected.user_id, 100, 'a session that did not end gets in');
});

t.test('F18 a node whose clock is off by a day knows the ended sessions, and whose token is good', async (t) => {
  const world = await startWorld(t);
  const ended = randomUUID();
  await revoke(world, 7, ended);
  const [stolen, good] = [world.issuer.token(7, { claims: { sid: ended } }), world.issuer.token(7)];
  const expired = world.issuer.token(7, { lifeSeconds: -10 });
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  for (const aheadMs of [86_400_000, -86_400_000]) {
    Date.now = () => now() + aheadMs;
    const { url } = await startNotify(t, world);
    t.equal((await expectRefusal(url, { token: stolen })).status, 401);
    t.equal((await expectRefusal(url, { token: expired })).status, 401);
    t.equal((await connectSocket(url, { token: good })).connected.user_id, 7);
  }
});

t.test('R7 a node that cannot read the ended sessions accepts nobody', async (t) => {
  const world = await startWorld(t);
  await world.nats.kill();
  const { url } = await listenNotify(t, world);
  const token = world.issuer.token(7);
  const refusal = await expectRefusal(url, { token });
  t.equal(refusal.status, 503);
  t.match(refusal.headers['retry-after'], /^\d+$/);
  t.equal((await fetch(`${url}/readyz`)).status, 503);
  await world.nats.restart();
  await waitFor(async () => (await fetch(`${url}/readyz`)).status === 200);
  t.equal((await connectSocket(url, { token })).connected.user_id, 7, 'and everybody as soon as it can');
});
