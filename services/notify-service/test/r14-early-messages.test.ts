/**
 * If this breaks: what a client sends right behind its handshake is lost; its first ping goes unanswered, and it gives
 * up a good connection.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { frame, RawClient } from './support/raw-client.ts';

t.test('R14 messages that arrive before the handshake is answered are not dropped', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world);
  const ping = frame('{"type":"ping"}');

  await t.test('R14 in the same packet as the handshake', async (t) => {
    for (let at = 0; at < 50; at += 1) {
      const client = await RawClient.open(url, world.issuer.token(1), { behind: Buffer.concat([ping, ping, ping]) });
      await waitFor(() => client.messages.filter(({ type }) => type === 'pong').length === 3, { intervalMs: 2 });
      await waitFor(() => client.messages.some(({ type }) => type === 'connected'), { intervalMs: 2 });
      client.socket.destroy();
    }
    t.pass('50 handshakes, 3 answers each');
  });

  await t.test('R14 right behind it, while the token’s key still has to be fetched', async (t) => {
    world.issuer.rotate();
    const requests = world.issuer.requests;
    const client = await RawClient.open(url, world.issuer.token(1), { behind: ping });
    await waitFor(() => client.messages.some(({ type }) => type === 'pong'));
    t.equal(world.issuer.requests, requests + 1);
    client.socket.destroy();
  });

  await t.test('R14 a message that is not allowed, and a close, are seen as well', async (t) => {
    const rude = await RawClient.open(url, world.issuer.token(1), { behind: frame('rubbish') });
    await waitFor(() => rude.closeCode === 4500);
    rude.socket.destroy();
    const brief = await RawClient.open(url, world.issuer.token(1), { behind: frame(Buffer.from([0x03, 0xe8]), { opcode: 8 }) });
    await waitFor(() => brief.closeCode === 1000);
    brief.socket.destroy();
    await waitFor(() => app.hub.size === 0, { description: 'every socket to be forgotten' });
    t.pass();
  });
});
