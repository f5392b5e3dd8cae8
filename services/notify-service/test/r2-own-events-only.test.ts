/**
 * If this breaks: one user reads another's notifications, which carry phone numbers.
 */
import { encodeOwnCursor, eventSubject, userEventsFilter } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket, expectRefusal, type SocketClient } from './support/socket-client.ts';

const USERS = 1_000;
const SOCKETS = 200;
const EVENTS_PER_USER = 6;

/** A phone number that names its user: seen by anybody else, it gives the leak away. */
function canary(userId: number): string {
  return `+99${String(userId).padStart(10, '0')}`;
}

t.test('R2 a socket hears its own user and nobody else', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  const { publisher, issuer } = world;
  const publish = (userId: number): Promise<unknown> =>
    publisher.publish(userId, { data: { user_id: userId, phone_number: canary(userId) } });

  await t.test('R2 1,000 users, 200 sockets that drop and resume all the while: no foreign frame, none missing', async (t) => {
    const listening = Array.from({ length: SOCKETS }, (_, at) => 1 + at * (USERS / SOCKETS));
    // What each user's client has: it keeps its cursor over its connections.
    const seen = new Map(listening.map((userId) => [userId, { seqs: [] as number[], cursor: null as string | null }]));
    const foreign: unknown[] = [];
    const take = (userId: number, client: SocketClient): void => {
      const state = seen.get(userId)!;
      for (const frame of client.notifications) {
        if (frame.user_id !== userId || frame.phone_number !== canary(userId)) foreign.push(frame);
      }
      state.seqs.push(...client.seqs);
      state.cursor = client.cursor;
    };
    const open = (userId: number): Promise<SocketClient> => {
      const { cursor } = seen.get(userId)!;
      return connectSocket(url, { token: issuer.token(userId), ...(cursor === null ? {} : { after: cursor }) });
    };
    const clients = new Map<number, SocketClient>();
    for (const userId of listening) clients.set(userId, await open(userId));

    let isLoading = true;
    const load = (async () => {
      for (let round = 0; round < EVENTS_PER_USER; round += 1) {
        for (let userId = 1; userId <= USERS; userId += 25) {
          await Promise.all(Array.from({ length: 25 }, (_, at) => publish(userId + at)));
        }
      }
      isLoading = false;
    })();
    let resumes = 0;
    for (let at = 0; isLoading; at = (at + 7) % SOCKETS) {
      const userId = listening[at]!;
      const client = clients.get(userId)!;
      client.socket.terminate();
      await client.waitForClose();
      take(userId, client);
      clients.set(userId, await open(userId));
      resumes += 1;
    }
    await load;
    await waitFor(() => [...clients].every(([userId, client]) => {
      return seen.get(userId)!.seqs.length + client.notifications.length >= EVENTS_PER_USER;
    }), { description: 'every listener to have everything' });
    for (const [userId, client] of clients) {
      take(userId, client);
      client.close();
    }
    t.same(foreign, []);
    t.ok(resumes >= 20, `${resumes} sockets were cut off and resumed`);
    const expected = Array.from({ length: EVENTS_PER_USER }, (_, at) => at + 1);
    const wrong = [...seen].filter(([, { seqs }]) => JSON.stringify(seqs) !== JSON.stringify(expected));
    t.same(wrong, [], 'each event once and in order');
  });

  await t.test('R2 `*`, `>` and `a.b` as ids are refused wherever an id can stand', async (t) => {
    for (const id of ['*', '>', 'a.b', '1.>', '-1', '0', '01', '1e3', '9007199254740993']) {
      for (const claims of [{ user_id: id }, { user_id: id, sub: id }, { sub: id }]) {
        const { status } = await expectRefusal(url, { token: issuer.token(1, { claims }) });
        t.equal(status, 401, `token with ${JSON.stringify(claims)}`);
      }
      const client = await connectSocket(url, { token: issuer.token(1), after: `u1.${id}.1.1.0` });
      t.match(client.connected, { user_id: 1, recovered: false, reason: 'unknown_cursor' }, `cursor of ${id}`);
      client.close();
    }
    for (const id of [1.5, -1, 0, Number.NaN, 2 ** 53]) {
      t.throws(() => eventSubject(id, 'user.login'), RangeError);
      t.throws(() => userEventsFilter(id), RangeError);
    }
  });

  await t.test('R2 a cursor of another user brings none of their events', async (t) => {
    const [first] = await publisher.publishMany(5_001, 3);
    const after = encodeOwnCursor(5_001, 1, { sequence: first!.position, eventId: first!.id });
    const client = await connectSocket(url, { token: issuer.token(5_002), after });
    t.match(client.connected, { user_id: 5_002, recovered: false, reason: 'unknown_cursor', seq: 0 });
    await publisher.publish(5_001);
    await publisher.publish(5_002);
    await client.waitForNotifications(1);
    t.same(client.notifications.map(({ user_id }) => user_id), [5_002]);
    client.close();
  });

  await t.test('R2 the scope notifications:all hears everybody; any other scope does not', async (t) => {
    const all = await connectSocket(url, { token: issuer.token(1, { claims: { scope: 'profile notifications:all' } }) });
    const own = await connectSocket(url, { token: issuer.token(2, { claims: { scope: 'notifications:allx xnotifications:all' } }) });
    t.match(all.connected, { user_id: 1, seq: null });
    await publish(6_001);
    await publish(2);
    await all.waitForNotifications(2);
    await own.waitForNotifications(1);
    t.same(all.notifications.map(({ user_id }) => user_id), [6_001, 2]);
    t.same(own.notifications.map(({ user_id }) => user_id), [2]);
    all.close();
    own.close();
  });
});
