// If this breaks, requests that are no proper HTTP get answers of another shape than every other error, one of them
// with the caller's query string, token included, repeated in it.
import Fastify from 'fastify';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import t from 'tap';
import { errorHandlerPlugin, securityHeadersPlugin, serverOptions } from '../src/index.ts';

async function start(t: { teardown(handler: () => unknown): unknown }) {
  const app = Fastify(serverOptions());
  await app.register(errorHandlerPlugin);
  await app.register(securityHeadersPlugin, { isDebug: false });
  app.get<{ Params: { id: string } }>('/things/:id', async ({ params }) => params);
  t.teardown(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app;
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
