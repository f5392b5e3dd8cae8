// If this breaks, clients do not reach the services, see other errors than the services sent, can pretend to come
// from another address, or leave sockets behind until the services run out of them.
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test, type Test } from 'tap';
import { startGateway, type RunningGateway } from '../src/gateway.ts';
import { findFreePort } from '../src/ports.ts';
import { StackError } from '../src/stack-error.ts';
import { waitFor } from '../src/wait-for.ts';

interface Upstream {
  url: string;
  server: Server;
  sockets: Set<Socket>;
}

async function startUpstream(t: Test, server: Server): Promise<Upstream> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sockets };
}

/** Answers every request with what it saw. */
const mirror = (name: string): Server =>
  createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { method, url, headers } = request;
      response.setHeader('x-served-by', name);
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.end(JSON.stringify({ name, method, url, headers, body }));
    });
  });

async function start(t: Test, urls: { authUrl?: string; notifyUrl?: string }): Promise<RunningGateway> {
  const gateway = await startGateway({ port: 0, authUrl: '', notifyUrl: '', ...urls });
  t.teardown(() => gateway.close());
  return gateway;
}

interface Seen {
  name: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

async function ask(gateway: RunningGateway, path: string, init?: RequestInit): Promise<Seen> {
  const response = await fetch(`http://127.0.0.1:${gateway.port}${path}`, init);
  return (await response.json()) as Seen;
}

/** Sends bytes and returns everything that comes back until the other side closes. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.on('end', () => {
      resolve(answer);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

const handshake = (path: string, extra = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n${extra}\r\n`;

test('every path goes to the service it belongs to', async (t) => {
  const auth = await startUpstream(t, mirror('auth'));
  const notify = await startUpstream(t, mirror('notify'));
  const gateway = await start(t, { authUrl: auth.url, notifyUrl: notify.url });
  const expected: [string, string][] = [
    ['/api/register/', 'auth'],
    ['/api/register?x=%2e%2e&y=1', 'auth'],
    ['/api', 'auth'],
    ['/api/notifications-archive', 'auth'],
    ['/.well-known/jwks.json', 'auth'],
    ['/api/notifications', 'notify'],
    ['/api/notifications/?after=3', 'notify'],
    ['/api/presence/1', 'notify'],
    ['/sse/notifications/', 'notify'],
    ['/ws/asyncapi.json', 'notify'],
  ];
  for (const [path, name] of expected) {
    const seen = await ask(gateway, path);
    t.same([seen.name, seen.url], [name, path], path);
  }
  const posted = await ask(gateway, '/api/login/', { method: 'POST', body: '{"é":1}' });
  t.match(posted, { method: 'POST', body: '{"é":1}' });
  for (const method of ['POST', 'DELETE', 'OPTIONS']) {
    const sent = await ask(gateway, '/api/notifications/', { method });
    t.match(sent, { name: 'auth', method }, 'notifications are sent through auth-service, and read elsewhere');
  }
  const presence = await ask(gateway, '/api/presence/1', { method: 'POST' });
  t.equal(presence.name, 'notify', 'no other route asks for the method');
  const response = await fetch(`http://127.0.0.1:${gateway.port}/api/`);
  t.same(response.headers.getSetCookie(), ['a=1', 'b=2'], 'repeated headers stay apart');
  t.notOk(response.headers.has('keep-alive'), 'the hop’s own headers stay on the hop');
});

test('forwarding headers of a client are replaced', async (t) => {
  const auth = await startUpstream(t, mirror('auth'));
  const gateway = await start(t, { authUrl: auth.url });
  const forged = {
    'x-forwarded-for': '203.0.113.9, 198.51.100.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-port': '1',
    'x-forwarded-prefix': '/x',
    'x-real-ip': '203.0.113.9',
    forwarded: 'for=203.0.113.9',
  };
  const { headers } = await ask(gateway, '/api/', { headers: forged });
  t.equal(headers['x-forwarded-for'], '127.0.0.1');
  t.equal(headers['x-forwarded-proto'], 'http');
  t.equal(headers['x-forwarded-host'], `127.0.0.1:${gateway.port}`);
  t.equal(headers.host, `127.0.0.1:${gateway.port}`, 'the host stays the client’s');
  for (const name of ['x-forwarded-port', 'x-forwarded-prefix', 'x-real-ip', 'forwarded']) t.notOk(name in headers, name);
});

test('a request target that is not a path is refused', async (t) => {
  const auth = await startUpstream(t, mirror('auth'));
  const gateway = await start(t, { authUrl: auth.url });
  const answer = await exchange(gateway.port, 'GET http://evil.example/api/ HTTP/1.1\r\nHost: x\r\n\r\n');
  t.match(answer, /^HTTP\/1\.1 400 [^]*invalid_request_target/);
});

test('a service that is away: 502 as a problem with Retry-After, then everything works again', async (t) => {
  const port = await findFreePort();
  const authUrl = `http://127.0.0.1:${port}`;
  const gateway = await start(t, { authUrl, notifyUrl: authUrl });
  const response = await fetch(`http://127.0.0.1:${gateway.port}/api/login/?secret=1`, { method: 'POST', body: '{}' });
  t.equal(response.status, 502);
  t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8');
  t.match(response.headers.get('retry-after'), /^\d+$/);
  t.match(await response.json(), { code: 'bad_gateway', status: 502, instance: '/api/login/' });

  const upgrade = await exchange(gateway.port, handshake('/ws/notifications/'));
  t.match(upgrade, /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*retry-after: \d+\r\n[^]*bad_gateway/i);

  const late = mirror('auth');
  late.listen(port, '127.0.0.1');
  t.teardown(() => late.close());
  await once(late, 'listening');
  t.match(await ask(gateway, '/api/login/'), { name: 'auth' });
});

test('a service that dies within an answer: the client notices', async (t) => {
  const auth = await startUpstream(
    t,
    createServer((request, response) => {
      if (request.url === '/api/before/') response.socket?.destroy();
      else response.writeHead(200, { 'content-length': 100 }).write('half', () => response.socket?.destroy());
    }),
  );
  const gateway = await start(t, { authUrl: auth.url });
  const before = await fetch(`http://127.0.0.1:${gateway.port}/api/before/`);
  t.equal(before.status, 502);
  const during = await fetch(`http://127.0.0.1:${gateway.port}/api/during/`);
  await t.rejects(during.text(), 'cut, not completed');
});

test('a client that leaves frees the service', async (t) => {
  const notify = await startUpstream(
    t,
    createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(': hello\n\n');
    }),
  );
  const gateway = await start(t, { notifyUrl: notify.url });
  const abort = new AbortController();
  const response = await fetch(`http://127.0.0.1:${gateway.port}/sse/notifications/`, { signal: abort.signal });
  const reader = response.body?.getReader();
  t.match(Buffer.from((await reader?.read())?.value ?? []).toString(), /hello/, 'nothing is held back');
  t.equal(notify.sockets.size, 1);
  abort.abort();
  await waitFor(() => notify.sockets.size === 0, { description: 'the service’s socket to be closed' });
});

test('a refused upgrade reaches the client as it is: status, headers, body', async (t) => {
  const notify = await startUpstream(
    t,
    createServer().on('upgrade', (request: IncomingMessage, socket: Socket) => {
      const body = JSON.stringify({ code: 'invalid_token', path: request.url });
      const framing = request.url?.includes('chunked')
        ? `transfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
        : `content-length: ${body.length}\r\n\r\n${body}`;
      socket.end(
        'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error="invalid_token"\r\n' +
          `content-type: application/problem+json\r\nretry-after: 7\r\n${framing}`,
      );
    }),
  );
  const gateway = await start(t, { notifyUrl: notify.url });
  for (const path of ['/ws/notifications/?a=1', '/ws/chunked/']) {
    const answer = await new Promise<{ status: number; headers: IncomingMessage['headers']; body: string }>((resolve) => {
      const request = httpRequest({
        host: '127.0.0.1',
        port: gateway.port,
        path,
        headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'x', 'sec-websocket-version': '13' },
      });
      request.on('response', (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      });
      request.end();
    });
    t.equal(answer.status, 401);
    t.match(answer.headers, {
      'www-authenticate': 'Bearer error="invalid_token"',
      'content-type': 'application/problem+json',
      'retry-after': '7',
    });
    t.same(JSON.parse(answer.body), { code: 'invalid_token', path });
  }
  await waitFor(() => notify.sockets.size === 0, { description: 'no socket to be left' });
});

/** Accepts every upgrade and sends back what it gets; remembers the headers. */
function echoServer(seen: IncomingMessage['headers'][]): Server {
  return createServer().on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    seen.push(request.headers);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nfirst ');
    socket.write(head);
    socket.pipe(socket);
  });
}

async function upgradeThrough(t: Test, gateway: RunningGateway, first = ''): Promise<{ socket: Socket; text: () => string }> {
  const socket = connect(gateway.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.write(handshake('/ws/notifications/', 'X-Forwarded-For: 203.0.113.9\r\n') + first);
  await waitFor(() => text.includes('first'), { description: 'the upgrade to be accepted' });
  return { socket, text: () => text };
}

test('an accepted upgrade: bytes flow both ways from the first one on, headers are replaced', async (t) => {
  const seen: IncomingMessage['headers'][] = [];
  const notify = await startUpstream(t, echoServer(seen));
  const gateway = await start(t, { notifyUrl: notify.url });
  const { socket, text } = await upgradeThrough(t, gateway, 'early');
  socket.write(' late');
  await waitFor(() => text().endsWith('first early late'), { description: 'the echo' });
  t.match(text(), /^HTTP\/1\.1 101 /);
  t.equal(seen[0]?.['x-forwarded-for'], '127.0.0.1');
  t.equal(seen[0]?.['sec-websocket-key'], 'AQIDBAUGBwgJCgsMDQ4PEA==');
});

test('the end of one side of a socket ends the other', async (t) => {
  const notify = await startUpstream(t, echoServer([]));
  const gateway = await start(t, { notifyUrl: notify.url });

  const polite = await upgradeThrough(t, gateway);
  polite.socket.end();
  await waitFor(() => notify.sockets.size === 0, { description: 'the service’s end after a goodbye' });

  const vanished = await upgradeThrough(t, gateway);
  vanished.socket.resetAndDestroy();
  await waitFor(() => notify.sockets.size === 0, { description: 'the service’s end after a reset' });

  const cut = await upgradeThrough(t, gateway);
  for (const socket of notify.sockets) socket.resetAndDestroy();
  await waitFor(() => cut.socket.destroyed || cut.socket.readableEnded, { description: 'the client’s end after a reset' });

  const closing = await upgradeThrough(t, gateway);
  for (const socket of notify.sockets) socket.end('goodbye');
  await waitFor(() => closing.text().endsWith('goodbye') && closing.socket.readableEnded, { description: 'the last words' });
});

test('the offer of another protocol is ignored, not an error', async (t) => {
  const auth = await startUpstream(t, mirror('auth'));
  const gateway = await start(t, { authUrl: auth.url });
  const answer = await exchange(
    gateway.port,
    'POST /api/login/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n' +
      'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 4\r\n\r\nbodyGET /api/last/ HTTP/1.1\r\nHost: x\r\n' +
      'Connection: close\r\n\r\n',
  );
  t.match(answer, /200 OK[^]*"body":"body"[^]*200 OK[^]*"url":"\/api\/last\/"/);
});

test('a taken port is named, and nothing stays open', async (t) => {
  const gateway = await start(t, {});
  const second = startGateway({ port: gateway.port, authUrl: '', notifyUrl: '' });
  const error = await second.catch((reason: unknown) => reason);
  t.ok(error instanceof StackError);
  t.match(error, { message: new RegExp(`Port ${gateway.port} is taken`), cure: /--port/ });
});

test('localhost reaches it whichever way it resolves', async (t) => {
  const auth = await startUpstream(t, mirror('auth'));
  const gateway = await start(t, { authUrl: auth.url });
  t.ok(gateway.addresses.includes('127.0.0.1'));
  for (const address of gateway.addresses) {
    const host = address.includes(':') ? `[${address}]` : address;
    const response = await fetch(`http://${host}:${gateway.port}/api/`);
    t.equal(((await response.json()) as Seen).headers['x-forwarded-for'], address);
  }
  await gateway.close();
  await t.rejects(fetch(`http://127.0.0.1:${gateway.port}/api/`));
});
