// If this breaks, a fault scenario believes that it came between a question and its answer, or that the network was bad,
// and neither was so.
import { randomBytes } from 'node:crypto';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { test } from 'tap';
import { startFaultProxy, waitFor, type TestContext } from '../src/index.ts';

/** A server that answers everything in capitals, and remembers what it heard. */
async function startShouter(t: TestContext): Promise<{ port: number; heard: () => string }> {
  let heard = '';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard += chunk.toString();
      socket.write(chunk.toString().toUpperCase());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { port: (server.address() as AddressInfo).port, heard: () => heard };
}

interface Client {
  readonly socket: Socket;
  readonly answered: () => string;
  readonly isClosed: () => boolean;
  readonly error: () => string | undefined;
}

function open(t: TestContext, port: number): Client {
  const socket = connect(port, '127.0.0.1');
  let answered = '';
  let isClosed = false;
  let error: string | undefined;
  socket.on('data', (chunk) => (answered += chunk.toString()));
  socket.on('error', (failure: NodeJS.ErrnoException) => (error = failure.code));
  socket.on('close', () => (isClosed = true));
  t.teardown(() => socket.destroy());
  return { socket, answered: () => answered, isClosed: () => isClosed, error: () => error };
}

interface Sink {
  readonly port: number;
  /** Everything that was received, all connections together. */
  readonly received: () => Buffer;
  readonly chunks: () => number;
  readonly connections: () => number;
  /** The server's ends of the connections. */
  readonly sockets: Socket[];
}

/** A server that reads all and says nothing. */
async function startSink(t: TestContext): Promise<Sink> {
  const chunks: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => chunks.push(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    received: () => Buffer.concat(chunks),
    chunks: () => chunks.length,
    connections: () => sockets.length,
    sockets,
  };
}

test('the proxy forwards, holds back, swallows answers and cuts', async (t) => {
  const { port: target, heard } = await startShouter(t);
  const proxy = await startFaultProxy(t, { port: target });
  const [first, second, third] = [open(t, proxy.port), open(t, proxy.port), open(t, proxy.port)];
  first.socket.write('one ');
  await waitFor(() => first.answered() === 'ONE ');

  proxy.setRule((chunk) => {
    if (chunk.includes('secret')) return 'swallow-answers';
    return chunk.includes('never') ? 'hold' : 'forward';
  });
  first.socket.write('secret ');
  await waitFor(() => heard().includes('secret '), { description: 'the question to arrive' });
  second.socket.write('never ');
  third.socket.write('three ');
  await waitFor(() => third.answered() === 'THREE ');
  proxy.setRule(null);
  second.socket.write('behind it ');
  third.socket.write('still ');
  await waitFor(() => third.answered() === 'THREE STILL ');
  t.equal(first.answered(), 'ONE ', 'the answer did not come back');
  t.notMatch(heard(), 'never', 'the question was held');
  t.notMatch(heard(), 'behind it', 'and everything after it, whatever the rule is now');

  proxy.cut();
  await waitFor(() => [first, second, third].every(({ isClosed }) => isClosed()));
});

test('the end of a connection passes as what it was: in order, half of it, or as a reset', async (t) => {
  const { port, sockets } = await startSink(t);
  const proxy = await startFaultProxy(t, { port });
  const ends: string[] = [];
  const follow = async (at: number): Promise<Socket> => {
    const socket = await waitFor(() => sockets[at]);
    socket.on('end', () => ends.push(`${at} end`));
    socket.on('error', (error: NodeJS.ErrnoException) => ends.push(`${at} ${error.code}`));
    return socket;
  };
  const polite = open(t, proxy.port);
  await follow(0);
  polite.socket.end('last words');
  await waitFor(() => polite.isClosed());
  t.equal(polite.error(), undefined);
  const rude = open(t, proxy.port);
  await follow(1);
  rude.socket.resetAndDestroy();
  await waitFor(() => ends.length === 2);
  const thrownOut = open(t, proxy.port);
  (await follow(2)).resetAndDestroy();
  await waitFor(() => thrownOut.isClosed());
  t.equal(thrownOut.error(), 'ECONNRESET');
  t.same(ends.sort(), ['0 end', '1 ECONNRESET']);
  await waitFor(() => proxy.connections === 0, { description: 'the proxy to forget them' });
});

test('latency, jitter, loss, slices and bandwidth: everything arrives, whole, in order, later', async (t) => {
  const { port, received, chunks } = await startSink(t);
  const proxy = await startFaultProxy(t, { port });
  const { socket } = open(t, proxy.port);
  const sent: Buffer[] = [];
  const send = async (bytes: Buffer): Promise<number> => {
    const startedAt = performance.now();
    sent.push(bytes);
    socket.write(bytes);
    await waitFor(() => received().equals(Buffer.concat(sent)), { intervalMs: 5 });
    return performance.now() - startedAt;
  };
  proxy.setNetwork({ latencyMs: 100 });
  t.ok((await send(randomBytes(100))) >= 99, 'no sooner than the latency allows');
  proxy.setNetwork({ jitterMs: 20, lossShare: 0.2 }, 'up');
  for (let at = 0; at < 20; at += 1) void send(randomBytes(10_000));
  await send(randomBytes(1));
  const before = chunks();
  proxy.setNetwork({ sliceBytes: 1 });
  await send(randomBytes(200));
  t.ok(chunks() - before > 10, `200 bytes in ${chunks() - before} pieces`);
  proxy.setNetwork({ bytesPerSecond: 1_000_000 });
  t.ok((await send(randomBytes(200_000))) >= 175, 'no sooner than the bandwidth allows');
  proxy.setNetwork({});
  await send(randomBytes(1_000_000));
});

test('a sender has to wait for a network that takes nothing: the proxy does not hold what it cannot pass on', async (t) => {
  const { port, received } = await startSink(t);
  const proxy = await startFaultProxy(t, { port });
  const { socket } = open(t, proxy.port);
  const piece = randomBytes(256 * 1024);
  const pieces = 128; // more than the kernel keeps for a connection on loopback
  const length = pieces * piece.length;
  proxy.setNetwork({ latencyMs: 200, bytesPerSecond: 10_000 });
  for (let at = 0; at < pieces; at += 1) socket.write(piece);
  await waitFor(() => received().length > 1_000);
  const left = socket.writableLength;
  t.ok(left > length / 2, `most of it is still with the sender: ${left} of ${length} bytes`);
  proxy.setNetwork({});
  await waitFor(() => socket.writableLength === 0 && received().length === length);
});

test('a black hole keeps connections, accepts new ones, and lets nothing through, not even their ends', async (t) => {
  const { port, received, connections, sockets } = await startSink(t);
  const proxy = await startFaultProxy(t, { port });
  const [before, leaving] = [open(t, proxy.port), open(t, proxy.port)];
  before.socket.write('a');
  await waitFor(() => received().length === 1 && connections() === 2);
  proxy.blackHole();
  const during = open(t, proxy.port);
  before.socket.write('b');
  during.socket.write('c');
  leaving.socket.end();
  sockets[0]?.write('d');
  await waitFor(() => during.socket.readyState === 'open' && during.socket.bytesWritten === 1);
  // A network without a hole carries this in the meantime.
  const elsewhere = await startFaultProxy(t, { port });
  open(t, elsewhere.port).socket.write('e');
  await waitFor(() => received().toString() === 'ae');
  t.equal(connections(), 3, 'the server has not heard of the new one');
  t.equal(before.answered(), '');
  t.equal(leaving.isClosed(), false);
  proxy.setNetwork({});
  await waitFor(() => received().length === 4 && before.answered() === 'd' && leaving.isClosed());
  t.equal(received().toString().slice(0, 3).includes('b'), true);
  t.equal(during.isClosed(), false);
});

test('resets and refusals are seen at both ends, and heal', async (t) => {
  const { port, received, sockets } = await startSink(t);
  const proxy = await startFaultProxy(t, { port });
  const { isClosed, error, socket } = open(t, proxy.port);
  socket.write('a');
  await waitFor(() => received().length === 1);
  let seen: string | undefined;
  sockets[0]?.on('error', ({ code }: NodeJS.ErrnoException) => (seen = code));
  proxy.reset();
  await waitFor(() => isClosed() && seen !== undefined);
  t.same([error(), seen], ['ECONNRESET', 'ECONNRESET']);
  proxy.refuse();
  const refused = open(t, proxy.port);
  await waitFor(() => refused.isClosed());
  t.equal(refused.error(), 'ECONNREFUSED');
  await proxy.heal();
  open(t, proxy.port).socket.write('b');
  await waitFor(() => received().toString() === 'ab');
});

test('no connection is left over, whatever it was at when it was reset or closed', async (t) => {
  const { port } = await startSink(t);
  const proxy = await startFaultProxy(t, { port });
  for (let at = 0; at < 60; at += 1) {
    const { socket } = open(t, proxy.port);
    socket.write(randomBytes(60_000));
    if (at % 3 === 0) socket.end();
    if (at % 5 === 0) proxy.setNetwork(at % 2 === 0 ? { isBlackHole: true } : { bytesPerSecond: 20_000 }, 'up');
    if (at % 7 === 0) await waitFor(() => socket.readyState !== 'opening');
    if (at % 11 === 0) proxy.reset();
    if (at % 13 === 0) proxy.cut();
  }
  proxy.setNetwork({});
  proxy.reset();
  const isEmpty = (): boolean => {
    proxy.cut(); // also those that arrived meanwhile
    return proxy.connections === 0;
  };
  await waitFor(isEmpty, { description: 'every connection to be closed' });
});
