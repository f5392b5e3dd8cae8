// If this breaks, requests that are no proper HTTP get answers of another shape than every other error, one of them
// with the caller's query string, token included, repeated in it; and strangers who send or read as slowly as they can
// keep the service's connections until there is none for anybody else.
import Fastify from 'fastify';
import { waitFor } from '@infrasignal/testkit';
import { once } from 'node:events';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import t from 'tap';
import { connectionLimits, connectionLimitsPlugin, errorHandlerPlugin, securityHeadersPlugin, serverOptions } from '../src/index.ts';

async function start(t: { teardown(handler: () => unknown): unknown }, limits = connectionLimits) {
  const app = Fastify(serverOptions(limits));
  await app.register(connectionLimitsPlugin, { connectionsMax: CONNECTIONS_MAX });
  await app.register(errorHandlerPlugin);
  await app.register(securityHeadersPlugin, { isDebug: false });
  app.get<{ Params: { id: string } }>('/things/:id', async ({ params }) => params);
  app.post('/things', async () => ({}));
  app.get('/large', async () => LARGE);
  app.get('/slow', async () => {
    await pass(1.5 * POLITE.requestMs);
    return {};
  });
  t.teardown(() => {
    app.server.closeAllConnections(); // attackers do not hang up
    return app.close();
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app;
}

const CONNECTIONS_MAX = 20;

/** The limits of production, a fiftieth as long. */
const QUICK = { ...connectionLimits, headersMs: 100, requestMs: 200, silenceMs: 300, checkIntervalMs: 20 };

/** For a client that must never be refused: a busy machine may well keep it waiting for the 100 ms above. */
const POLITE = { ...QUICK, headersMs: 1_000, requestMs: 1_000, silenceMs: 60_000 };

function hasEnded(socket: Socket): boolean {
  return socket.readableEnded || socket.destroyed;
}

/** Lets time pass, which is what the limits count. */
async function pass(ms: number): Promise<void> {
  const since = performance.now();
  await waitFor(() => performance.now() - since >= ms);
}

/** More than the buffers of a connection take. */
const LARGE = Buffer.alloc(8 * 1024 * 1024, 'x');

function countConnections(server: Server): Promise<number> {
  return promisify(server.getConnections.bind(server))();
}

/** Sends bytes and resolves with everything that comes back until the server closes. */
async function exchange(port: number, bytes: string): Promise<{ head: string; body: string }> {
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => (text += String(chunk)));
  socket.on('error', () => undefined); // a reset after the answer: the answer is what counts
  socket.write(bytes);
  await once(socket, 'close');
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  return { head, body };
}

t.test('A32 a path with escapes that are no UTF-8 is a path nobody has', async (t) => {
  const app = await start(t);
  for (const path of ['/%', '/%zz', '/%c0%af', '/nowhere/%ff', '/%E0%A4%A']) {
    const answer = await app.inject(`${path}?token=canary`);
    t.equal(answer.statusCode, 404, path);
    t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8');
    t.equal(answer.headers['x-content-type-options'], 'nosniff', 'with the headers of every other answer');
    t.match(answer.json<unknown>(), { code: 'not_found', instance: path.replaceAll('%', '%25') });
    t.notMatch(answer.body, 'canary');
  }
  t.same((await app.inject('/things/%41%20b')).json<unknown>(), { id: 'A b' }, 'good escapes are decoded');
  t.same((await app.inject('/things/%25')).json<unknown>(), { id: '%' });
  t.same((await app.inject('/things/%zz')).json<unknown>(), { id: '%zz' }, 'bad ones are text');
});

t.test('A32 what is no HTTP is answered as a problem on the bare connection', async (t) => {
  const app = await start(t);
  const { port } = app.server.address() as AddressInfo;
  const table: [string, string, number, string][] = [
    ['nonsense', 'HELLO\r\n\r\n', 400, 'malformed_request'],
    ['a method nobody knows', 'BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n', 400, 'malformed_request'],
    ['a header without a name', 'GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n', 400, 'malformed_request'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400, 'malformed_request'],
    ['20 KiB of headers', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_480)}\r\n\r\n`, 431, 'headers_too_large'],
  ];
  for (const [what, bytes, status, code] of table) {
    const { head, body } = await exchange(port, bytes);
    t.ok(head.startsWith(`HTTP/1.1 ${status} `), `${what}: ${head.split('\r\n', 1)[0] ?? ''}`);
    t.match(head, /content-type: application\/problem\+json/i);
    t.match(JSON.parse(body), { status, code, request_id: /.+/ });
  }
  t.equal((await app.inject('/things/1')).statusCode, 200, 'and the service goes on');
});

/** Sends its first bytes and then one more now and then, and never closes its end. */
function attack(t: { teardown(handler: () => unknown): unknown }, port: number, first: string, drip: string) {
  const socket: Socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const attacker = { socket, received: '' };
  socket.setEncoding('utf8').on('data', (chunk) => (attacker.received += String(chunk)));
  socket.on('error', () => undefined); // its end of the story is of no interest
  socket.write(first);
  const timer = setInterval(() => drip !== '' && socket.writable && socket.write(drip), 10);
  t.teardown(() => (clearInterval(timer), socket.destroy()));
  return attacker;
}

t.test('F17 whoever sends slowly, or nothing, is answered 408 and loses the connection without hanging up', async (t) => {
  const app = await start(t, QUICK);
  const { port } = app.server.address() as AddressInfo;
  const head = 'POST /things HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  const attackers = {
    silent: attack(t, port, '', ''),
    'slow header': attack(t, port, 'GET / HTTP/1.1\r\nX: ', 'x'),
    'many headers': attack(t, port, 'GET / HTTP/1.1\r\n', 'X: y\r\n'),
    'slow body': attack(t, port, `${head}Content-Length: 1000\r\n\r\n`, 'x'),
    'slow chunks': attack(t, port, `${head}Transfer-Encoding: chunked\r\n\r\n`, '1\r\nx\r\n'),
    'after a good request': attack(t, port, 'GET /things/1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /', 'x'),
  };
  await waitFor(() => Object.values(attackers).every(({ socket }) => hasEnded(socket)), { description: 'all to be told' });
  await waitFor(async () => (await countConnections(app.server)) === 0, { description: 'every connection to be closed' });
  for (const [what, { received }] of Object.entries(attackers)) {
    t.match(received, /HTTP\/1.1 408 [^]*"code":"request_timeout"/, what);
  }
});
t.test('F17 whoever asks and does not read loses the connection, whatever was asked', async (t) => {
  const app = await start(t, QUICK);
  const { port } = app.server.address() as AddressInfo;
  const request = 'GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const { socket } = attack(t, port, request.repeat(5), '');
  socket.pause();
  await waitFor(async () => (await countConnections(app.server)) === 1);
  await waitFor(async () => (await countConnections(app.server)) === 0, { description: 'the connection to be closed' });
  t.equal((await app.inject('/things/1')).statusCode, 200);
});

t.test('F17 a connection has a few requests answered at once, in their order, and is cut with more', async (t) => {
  const app = await start(t);
  const { port } = app.server.address() as AddressInfo;
  const requests = (count: number, path: string): string =>
    Array.from({ length: count }, (_, at) => `GET ${path}${at} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join('');
  const few = attack(t, port, requests(10, '/things/'), '');
  await waitFor(() => few.received.includes('{"id":"9"}'));
  t.same(few.received.match(/(?<="id":")\d/g), [...'0123456789']);
  few.socket.write(requests(10, '/things/'));
  await waitFor(() => few.received.lastIndexOf('{"id":"9"}') > few.received.indexOf('{"id":"9"}'), {
    description: 'ten more, now that the others are answered',
  });
  const many = attack(t, port, requests(500, '/slow?'), '');
  await waitFor(() => hasEnded(many.socket), { description: 'the connection to be cut' });
  t.equal(many.received, '');
});

t.test('F17 there are so many connections and no more', async (t) => {
  const app = await start(t);
  const { port } = app.server.address() as AddressInfo;
  const held = Array.from({ length: CONNECTIONS_MAX }, () => attack(t, port, '', ''));
  await waitFor(async () => (await countConnections(app.server)) === CONNECTIONS_MAX);
  const { socket: oneMore } = attack(t, port, 'GET /things/1 HTTP/1.1\r\nHost: localhost\r\n\r\n', '');
  await waitFor(() => hasEnded(oneMore), { description: 'one more to be closed' });
  held[0]?.socket.destroy();
  await waitFor(async () => (await countConnections(app.server)) < CONNECTIONS_MAX);
  const answer = await exchange(port, 'GET /things/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  t.match(answer.head, /^HTTP\/1.1 200 /);
});

t.test('F17 those who do as they should are not cut off: quiet between requests, slow to be answered', async (t) => {
  const app = await start(t, POLITE);
  const { port } = app.server.address() as AddressInfo;
  const { socket } = attack(t, port, 'GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n', '');
  const [first] = (await once(socket, 'data')) as [string];
  t.match(first, /^HTTP\/1.1 200 /, 'its answer took longer than its request may');
  await pass(1.5 * POLITE.requestMs);
  socket.write('GET /things/2 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [second] = (await once(socket, 'data')) as [string];
  t.match(second, /^HTTP\/1.1 200 /, 'and the connection was kept meanwhile');
});

t.test('a connection is ended after so many requests, with a word', async (t) => {
  const app = await start(t, { ...connectionLimits, requests: 3 });
  const { port } = app.server.address() as AddressInfo;
  const { socket } = attack(t, port, '', '');
  for (const isLast of [false, false, true]) {
    socket.write('GET /things/1 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [string];
    t.equal(/\r\nconnection: close\r\n/i.test(answer), isLast);
  }
  socket.write('GET /things/1 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await waitFor(() => hasEnded(socket), { description: 'whoever goes on all the same to be cut off' });
});

t.test('A32 a request that does not arrive in time is 408', async (t) => {
  const app = await start(t);
  // What Node reports when `requestTimeout` passes; its own check runs every 30 s only.
  const { port } = app.server.address() as AddressInfo;
  app.server.once('connection', (socket) => {
    const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    app.server.emit('clientError', error, socket);
  });
  const { head, body } = await exchange(port, 'POST /things HTTP/1.1\r\n');
  t.match(head, /^HTTP\/1.1 408 /);
  t.match(JSON.parse(body), { code: 'request_timeout' });
});
