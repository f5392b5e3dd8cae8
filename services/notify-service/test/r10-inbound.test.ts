/**
 * If this breaks: one client that sends rubbish, by mistake or on purpose, takes down the node that holds everybody's
 * sockets, or makes it hold memory for it.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { startNotify, startNotifyProcess, startWorld } from './support/notify.ts';
import { frame, RawClient } from './support/raw-client.ts';
import { connectSocket } from './support/socket-client.ts';

const PING = '{"type":"ping"}';

/** What a node says of its broker when that is late to answer, as on a busy machine: no stranger has a part in it. */
const OF_THE_BROKER = [
  'presence is not kept by this node now',
  'event consumer ended, opening another',
  'event consumer cannot be opened, trying until it can',
];

function isOfTheBroker(line: string): boolean {
  try {
    return OF_THE_BROKER.includes((JSON.parse(line) as { msg: string }).msg);
  } catch {
    return false;
  }
}

function closeFrame(code: number, reason = ''): Buffer {
  const payload = Buffer.alloc(2 + reason.length);
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return frame(payload, { opcode: 8 });
}

t.test('R10 what clients send', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world);
  const token = world.issuer.token(1);
  const witness = await connectSocket(url, { token });
  const padded = (bytes: number): string => `{"type":"ping"${' '.repeat(bytes - PING.length)}}`;

  const refused: Record<string, { bytes: Buffer; code: number }> = {
    'RSV bits set': { bytes: frame(PING, { reserved: 4 }), code: 1002 },
    'a reserved opcode': { bytes: frame(PING, { opcode: 3 }), code: 1002 },
    'a reserved control opcode': { bytes: frame('', { opcode: 11 }), code: 1002 },
    unmasked: { bytes: frame(PING, { isMasked: false }), code: 1002 },
    'a fragmented control frame': { bytes: frame('', { opcode: 9, isFinal: false }), code: 1002 },
    'a control frame of 126 bytes': { bytes: frame('x'.repeat(126), { opcode: 9 }), code: 1002 },
    'a continuation of nothing': { bytes: frame(PING, { opcode: 0 }), code: 1002 },
    'bad UTF-8': { bytes: frame(Buffer.from([0x22, 0xff, 0xfe, 0x22])), code: 1007 },
    'a lone surrogate in UTF-8': { bytes: frame(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])), code: 1007 },
    'close code 1005': { bytes: closeFrame(1005), code: 1002 },
    'close code 1004': { bytes: closeFrame(1004), code: 1002 },
    'close code 1006': { bytes: closeFrame(1006), code: 1002 },
    'close code 1015': { bytes: closeFrame(1015), code: 1002 },
    'close code 2999': { bytes: closeFrame(2999), code: 1002 },
    'close code 5000': { bytes: closeFrame(5000), code: 1002 },
    'a close reason that is no UTF-8': { bytes: frame(Buffer.from([0x03, 0xe8, 0xff]), { opcode: 8 }), code: 1007 },
    'close code 999': { bytes: closeFrame(999), code: 1002 },
    'a close frame of one byte': { bytes: frame('x', { opcode: 8 }), code: 1002 },
    'one byte more than 16 KiB': { bytes: frame(padded(16_385)), code: 1009 },
    'a header for 17 MB without a body': { bytes: frame('', { length: 17_000_000 }), code: 1009 },
    'more than 16 KiB in fragments': {
      bytes: Buffer.concat([
        frame(' '.repeat(9_000), { isFinal: false }),
        frame(' '.repeat(9_000), { opcode: 0 }),
      ]),
      code: 1009,
    },
    '16,000 fragments': {
      bytes: Buffer.concat([frame('', { isFinal: false }), ...Array.from({ length: 16_000 }, () => frame('', { opcode: 0, isFinal: false }))]),
      code: 1008,
    },
    'binary': { bytes: frame(PING, { opcode: 2 }), code: 4500 },
    'no JSON': { bytes: frame('hello'), code: 4500 },
    'empty': { bytes: frame(''), code: 4500 },
    'JSON that is no frame': { bytes: frame('[]'), code: 4500 },
    'an unknown type': { bytes: frame('{"type":"subscribe","user_id":2}'), code: 4500 },
    'a server’s frame': { bytes: frame('{"type":"connected"}'), code: 4500 },
    'deep nesting': { bytes: frame('['.repeat(8_000)), code: 4500 },
    ['__proto__']: { bytes: frame('{"__proto__":{"type":"ping"}}'), code: 4500 },
  };
  for (const [what, { bytes, code }] of Object.entries(refused)) {
    await t.test(`R10 ${what} → ${code}`, async (t) => {
      const client = await RawClient.open(url, token);
      client.socket.write(bytes);
      await waitFor(() => client.closeCode, { description: 'the close frame' });
      t.equal(client.closeCode, code);
      client.socket.write(closeFrame(code === 1005 ? 1000 : code));
      await waitFor(() => client.isClosed, { description: 'the connection to end' });
    });
  }

  await t.test('R10 exactly 16 KiB, a message in pieces, and a ping of the protocol are fine', async (t) => {
    const client = await RawClient.open(url, token);
    client.socket.write(frame(padded(16_384)));
    client.socket.write(Buffer.concat([frame('{"type":', { isFinal: false }), frame('"ping"}', { opcode: 0 })]));
    client.socket.write(frame('abc', { opcode: 9 }));
    await waitFor(() => client.messages.filter(({ type }) => type === 'pong').length === 2);
    await waitFor(() => client.frames.some(({ opcode, payload }) => opcode === 10 && payload.toString() === 'abc'));
    t.equal(client.closeCode, null);
    client.socket.destroy();
  });

  await t.test('R10 20 messages at once are answered; more are one too many: told, and closed 4429', async (t) => {
    const client = await RawClient.open(url, token);
    client.socket.write(Buffer.concat(Array.from({ length: 20 }, () => frame(PING))));
    await waitFor(() => client.messages.filter(({ type }) => type === 'pong').length === 20);
    t.equal(client.closeCode, null);
    client.socket.write(Buffer.concat(Array.from({ length: 30 }, () => frame(PING))));
    await waitFor(() => client.closeCode === 4429, { description: 'the close frame' });
    t.strictSame(client.messages.at(-1), { type: 'error', code: 'too_many_messages', retryable: true });
    t.ok(client.messages.filter(({ type }) => type === 'pong').length < 50);
    client.socket.destroy();
  });

  await t.test('R10 pings of the protocol and the inherited feed have the same limit', async (t) => {
    const last = frame('the last', { opcode: 9 });
    const floods: { isV1: boolean; bytes: Buffer }[] = [
      { isV1: true, bytes: frame('abc', { opcode: 9 }) },
      { isV1: true, bytes: frame('', { opcode: 10 }) },
      { isV1: false, bytes: frame('anything') },
      { isV1: false, bytes: frame('abc', { opcode: 9 }) },
    ];
    for (const { isV1, bytes } of floods) {
      const client = await RawClient.open(url, token, { isV1 });
      client.socket.write(Buffer.concat([...Array.from({ length: 19 }, () => bytes), last]));
      await waitFor(() => client.frames.some(({ opcode, payload }) => opcode === 10 && payload.toString() === 'the last'));
      // Whoever is closed is sent no more events: this one says that the twentieth was not too many either.
      await world.publisher.publish(1);
      await waitFor(() => client.messages.some(({ type }) => type === 'user.login'));
      t.equal(client.closeCode, null);
      client.socket.write(Buffer.concat(Array.from({ length: 40 }, () => bytes)));
      await waitFor(() => client.closeCode === 4429, { description: 'the close frame' });
      if (!isV1) t.notOk(client.messages.some(({ type }) => type === 'error'), 'old clients know no errors');
      client.socket.destroy();
    }
  });

  await t.test('R10 on the inherited feed text is ignored as it always was; binary is not', async (t) => {
    const client = await RawClient.open(url, token, { isV1: false });
    for (const text of ['hello', PING, '[]']) client.socket.write(frame(text));
    await world.publisher.publish(1);
    await waitFor(() => client.messages.length > 0);
    t.same(client.messages.map(({ type }) => type), ['user.login'], 'no pong, nothing but notifications');
    t.equal(client.closeCode, null);
    client.socket.write(frame('x', { opcode: 2 }));
    await waitFor(() => client.closeCode === 4500);
    client.socket.destroy();
  });

  await t.test('R10 a peer that breaks the protocol and stays is dropped all the same', async (t) => {
    const client = await RawClient.open(url, token);
    client.socket.write(frame(PING, { reserved: 7 }));
    await waitFor(() => client.closeCode === 1002);
    await waitFor(() => client.isClosed, { description: 'the connection to end without an answer' });
    t.pass();
  });

  await t.test('R10 other sockets are untouched, and nothing is left behind', async (t) => {
    const event = await world.publisher.publish(1);
    await waitFor(() => witness.seqs.at(-1) === event.seq);
    t.equal(witness.closed, null);
    t.equal((await fetch(`${url}/healthz`)).status, 200);
    witness.close();
    await waitFor(() => app.hub.size === 0, { description: 'every socket to be forgotten' });
    t.pass();
  });
});

t.test('R10 what strangers send fills no log', async (t) => {
  const world = await startWorld(t);
  const node = await startNotifyProcess(t, world, { LOG_LEVEL: 'warn' });
  const before = node.logs();
  const messages = [frame(PING, { reserved: 7 }), frame('', { opcode: 3 }), frame('x', { opcode: 2 }), frame('rubbish'), frame('', { length: 17_000_000 })];
  for (const bytes of messages) {
    const client = await RawClient.open(node.url, world.issuer.token(1));
    client.socket.write(bytes);
    await waitFor(() => client.closeCode);
    client.socket.resetAndDestroy();
  }
  for (const header of ['GET /ws/notifications/ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n', 'rubbish\r\n\r\n']) {
    const client = new RawClient(node.port);
    client.socket.write(header);
    await waitFor(() => client.statusLine !== '');
    client.socket.destroy();
  }
  t.equal((await fetch(`${node.url}/healthz`)).status, 200);
  const lines = node.logs().slice(before.length).split('\n');
  t.same(lines.filter((line) => line !== '' && !isOfTheBroker(line)), []);
});
