/**
 * If this breaks: one client that stops reading fills the memory of the node that everybody is on.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket } from './support/socket-client.ts';

/** Larger than any real event, so that the kernel's own buffers (some megabytes) are full soon. */
const EVENT_BYTES = 60_000;

/** Nobody is pinged: being slow is all that a socket can be closed for, however long it takes to fill the buffers. */
const WITHOUT_PINGS = { PING_INTERVAL_SECONDS: '3600' };

t.test('R8 a reader that never reads is closed as slow, others do not notice, and its resume heals it', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, WITHOUT_PINGS);
  const token = world.issuer.token(1);
  const slow = await connectSocket(url, { token });
  const slowPlain = await connectSocket(url, { token, isV1: false });
  const quick = await connectSocket(url, { token });
  slow.socket.pause();
  slowPlain.socket.pause();
  const closes = app.hub.stats.closesByCode;
  const data = { filler: 'x'.repeat(EVENT_BYTES) };
  while ((closes.get(4008) ?? 0) < 1) {
    await world.publisher.publish(1, { type: 'user.large_thing', data });
    if (world.publisher.lastSeq(1) > 2_000) throw new Error('it is never closed');
  }
  t.comment(`closed after ${world.publisher.lastSeq(1)} events of ${EVENT_BYTES} bytes`);
  await quick.waitForNotifications(world.publisher.lastSeq(1));
  t.equal(quick.closed, null);
  t.equal(slowPlain.closed, null, 'what is not told to old clients does not count against them');

  // It reads again: what had been sent, then why it was closed.
  slow.socket.resume();
  const { code, reason } = await slow.waitForClose();
  t.ok((code === 4008 && reason === 'slow') || code === 1006, 'it hears why if it reads in time');
  const seqs = [...slow.seqs];
  t.same(seqs, Array.from({ length: seqs.length }, (_, at) => at + 1), 'what it was sent is whole');
  const missed = world.publisher.lastSeq(1) - seqs.length;
  t.ok(missed >= 1, 'the rest was not sent');
  const again = await connectSocket(url, { token, after: slow.cursor });
  if (again.connected.recovered) {
    await again.waitForNotifications(missed);
    t.equal(again.seqs[0], seqs.length + 1);
  } else {
    t.equal(again.connected.reason, 'limit', 'that many bytes are more than one resume may bring');
  }
  slowPlain.socket.resume();
  for (const client of [slowPlain, quick, again]) client.close();
  await waitFor(() => app.hub.size === 0, { description: 'every socket to be forgotten' });
});

t.test('R8 many that never read: what they leave unread is bounded, and who reads is not kept waiting', async (t) => {
  const world = await startWorld(t);
  const limitBytes = 262_144;
  const { url, app } = await startNotify(t, world, { ...WITHOUT_PINGS, SOCKET_QUEUE_BYTES_MAX: String(limitBytes) });
  const token = world.issuer.token(1);
  const slow = await Promise.all(Array.from({ length: 30 }, () => connectSocket(url, { token })));
  const quick = await connectSocket(url, { token });
  for (const { socket } of slow) socket.pause();
  const data = { filler: 'x'.repeat(EVENT_BYTES) };
  let unreadMax = 0;
  while ((app.hub.stats.closesByCode.get(4008) ?? 0) < slow.length) {
    const { seq } = await world.publisher.publish(1, { type: 'user.large_thing', data });
    for (const connection of app.hub.connections) {
      unreadMax = Math.max(unreadMax, connection.queuedBytes + connection.port.bufferedBytes());
    }
    await waitFor(() => quick.seqs.at(-1) === seq, { description: 'the one that reads, each time' });
    if (seq > 2_000) throw new Error('they are never closed');
  }
  t.ok(unreadMax > 0 && unreadMax <= limitBytes, `at most ${unreadMax} of ${limitBytes} bytes were held for one`);
  await waitFor(() => app.hub.size === 1, { description: 'those that do not answer the close to be dropped' });
  t.equal(quick.closed, null);
  for (const { socket } of slow) socket.terminate();
  quick.close();
});
