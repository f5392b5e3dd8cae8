// If this breaks, clients do not reach the services through the gateway of production, can pretend to come from elsewhere,
// see what is for the inside, wait for notifications that lie in a buffer, or have their changes made twice.
import { findFreePort } from '@infrasignal/local-stack';
import { waitFor, type ServiceProcess, type TestContext } from '@infrasignal/testkit';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { NGINX, startNginxGateway, type NginxGateway } from './nginx-gateway.ts';

const isPossible = process.platform === 'linux' && existsSync(NGINX);
if (!isPossible) t.plan(0, 'nginx of the distribution is not here, or no further loopback addresses');

interface Seen {
  readonly by: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: number;
}

interface Upstream {
  readonly host: string;
  readonly port: number;
  readonly server: Server;
  readonly seen: Seen[];
  /** What is done in the place of an answer. */
  behave: ((socket: Socket) => void) | null;
}

/** Tells what it saw; an event stream sends one event and stays open; a socket says who it is. */
async function startUpstream(t: TestContext, name: string, host: string, port: number): Promise<Upstream> {
  const server = createServer((incoming, response) => {
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => (bytes += chunk.length));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const seen: Seen = { by: `${name} ${host}`, method, url, headers: headers as Record<string, string>, bytes };
      upstream.seen.push(seen);
      if (upstream.behave !== null) upstream.behave(incoming.socket);
      else if (url.startsWith('/sse')) response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
      else response.end(JSON.stringify(seen));
    });
  });
  const upstream: Upstream = { host, port, server, seen: [], behave: null };
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      socket.send(`${host} ${data.toString()}`);
    });
  });
  server.listen(port, host);
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of sockets.clients) client.terminate();
    server.close();
    server.closeAllConnections();
  });
  return upstream;
}

interface Scene {
  readonly gateway: NginxGateway;
  readonly auths: readonly Upstream[];
  readonly notifies: readonly Upstream[];
}

async function startScene(t: TestContext, changes: Record<string, string> = {}): Promise<Scene> {
  const start = async (name: string): Promise<Upstream[]> => {
    const port = await findFreePort();
    return [await startUpstream(t, name, '127.0.0.2', port), await startUpstream(t, name, '127.0.0.3', port)];
  };
  const [auths, notifies] = [await start('auth'), await start('notify')];
  const toService = ({ host, port }: Upstream): ServiceProcess => ({ url: `http://${host}:${port}`, port }) as ServiceProcess;
  const services = { auths: auths.map(toService), notifies: notifies.map(toService) };
  return { gateway: await startNginxGateway(t, services, changes), auths, notifies };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Not `fetch`, which resolves dots in a path. */
function ask(port: number, path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method: options.method, headers: options.headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

const skip = !isPossible;

t.test('each path goes to its service, as it was sent, and what is for the inside to nobody', { skip }, async (t) => {
  const { gateway } = await startScene(t);
  const expected: [string, string, RegExp][] = [
    ['GET', '/api/me/', /^auth/],
    ['POST', '/api/register?x=%2e%2e', /^auth/],
    ['GET', '/.well-known/jwks.json', /^auth/],
    ['GET', '/api/notifications/', /^notify/],
    ['POST', '/api/notifications/', /^auth/],
    ['OPTIONS', '/api/notifications', /^auth/],
    ['GET', '/api/notifications-archive', /^auth/],
    ['GET', '/api/presence/1', /^notify/],
    ['GET', '/ws/asyncapi.json', /^notify/],
  ];
  for (const [method, path, by] of expected) {
    const seen = JSON.parse((await ask(gateway.port, path, { method })).text) as Seen;
    t.match(seen.by, by, `${method} ${path}`);
    t.equal(seen.url, path);
  }
  for (const path of ['/metrics', '/healthz', '/readyz', '/api/../metrics', '/api/%2e%2e/metrics', '//metrics', '/nowhere', '/.env']) {
    t.equal((await ask(gateway.port, path)).status, 404, path);
  }
  const page = await ask(gateway.port, '/');
  t.equal(page.status, 200);
  t.match(page.headers['content-security-policy'], /default-src 'none'/);
  t.equal((await ask(gateway.port, '/', { method: 'POST' })).status, 405);
  t.notMatch(gateway.logs(), 'x=%2e', 'no query string in the log');
});

const FORGED = {
  'x-forwarded-for': '6.6.6.6',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'evil.example',
  'x-real-ip': '6.6.6.6',
  forwarded: 'for=6.6.6.6',
  'x-request-id': 'forged',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  host: 'app.example.com',
};

t.test('what a client says of itself is replaced, and kept where a proxy in front said it', { skip }, async (t) => {
  const first = await startScene(t);
  const { headers } = JSON.parse((await ask(first.gateway.port, '/api/me/', { headers: FORGED })).text) as Seen;
  t.match(headers, {
    host: 'app.example.com',
    'x-forwarded-for': /^127\.0\.0\.1$/,
    'x-forwarded-proto': /^http$/,
    'x-forwarded-host': 'app.example.com',
    'x-request-id': /^[0-9a-f]{32}$/,
    traceparent: FORGED.traceparent,
  });
  for (const name of ['x-real-ip', 'forwarded', 'via']) t.notOk(name in headers, name);
  const noTrace = await ask(first.gateway.port, '/api/me/', { headers: { traceparent: 'no trace' } });
  t.notOk('traceparent' in (JSON.parse(noTrace.text) as Seen).headers);

  const second = await startScene(t, { GATEWAY_TRUST_PROXY: '2' });
  const behind = JSON.parse((await ask(second.gateway.port, '/api/me/', { headers: FORGED })).text) as Seen;
  t.match(behind.headers, {
    'x-forwarded-for': '6.6.6.6, 127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.example',
    'x-request-id': 'forged',
  });
});

t.test('instances take turns, one that is gone is passed over, and no change is asked for twice', { skip }, async (t) => {
  const { gateway, auths } = await startScene(t);
  for (let at = 0; at < 40; at += 1) await ask(gateway.port, '/api/me/');
  for (const { seen, host } of auths) t.ok(seen.length > 5, `${host} has its share: nobody is bound to one`);
  const [broken, sound] = auths as [Upstream, Upstream];

  // Accepts, reads and breaks off: whether it did what was asked is not known.
  broken.behave = (socket) => socket.destroy();
  for (const upstream of auths) upstream.seen.length = 0;
  for (let at = 0; at < 20; at += 1) t.equal((await ask(gateway.port, '/api/me/')).status, 200, 'a question is asked elsewhere');
  for (const upstream of auths) upstream.seen.length = 0;
  let lost = 0;
  for (let at = 0; at < 20; at += 1) {
    const { status, headers, text } = await ask(gateway.port, '/api/register/', { method: 'POST', body: '{}' });
    if (status === 200) continue;
    lost += 1;
    t.match([status, headers['content-type'], headers['retry-after']], [502, /problem\+json/, '2']);
    t.match(JSON.parse(text), { code: 'bad_gateway', status: 502 });
  }
  t.equal(broken.seen.length + sound.seen.length, 20, 'each exactly once');
  t.equal(lost, broken.seen.length);

  // Refuses connections: nothing was sent.
  broken.server.close();
  broken.server.closeAllConnections();
  for (let at = 0; at < 20; at += 1) {
    t.equal((await ask(gateway.port, '/api/register/', { method: 'POST', body: '{}' })).status, 200);
  }
});

t.test('limits are those of the services, and told in their way', { skip }, async (t) => {
  const { gateway } = await startScene(t);
  const body = (bytes: number): Promise<Answer> => ask(gateway.port, '/api/notifications/', { method: 'POST', body: 'x'.repeat(bytes) });
  t.match(JSON.parse((await body(128 * 1024)).text), { bytes: 128 * 1024 });
  const tooLarge = await body(128 * 1024 + 1);
  t.match([tooLarge.status, JSON.parse(tooLarge.text)], [413, { code: 'payload_too_large' }]);
  t.equal((await ask(gateway.port, '/api/me/', { headers: { 'x-large': 'x'.repeat(14_000) } })).status, 200);
  const headers = await ask(gateway.port, '/api/me/', { headers: { 'x-large': 'x'.repeat(20_000) } });
  t.match([headers.status, JSON.parse(headers.text)], [431, { code: 'headers_too_large' }]);
});

t.test('events pass at once, and sockets survive a reload', { skip }, async (t) => {
  const { gateway } = await startScene(t);
  const stream = connect(gateway.port, '127.0.0.1');
  t.teardown(() => stream.destroy());
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk) => (text += String(chunk)));
  stream.write('GET /sse/notifications/ HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await waitFor(() => text.includes('data: 1'), { description: 'the event before the end of the answer' });

  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws/notifications/`);
  t.teardown(() => socket.terminate());
  await once(socket, 'open');
  const say = async (word: string): Promise<string> => {
    socket.send(word);
    const [data] = (await once(socket, 'message')) as [Buffer];
    return data.toString();
  };
  const before = await say('one');
  gateway.reload();
  await waitFor(async () => (await ask(gateway.port, '/api/me/')).status === 200);
  t.equal(await say('two'), before.replace('one', 'two'), 'the same socket to the same node');
  const refused = await ask(gateway.port, '/api/me/', { headers: { connection: 'upgrade', upgrade: 'h2c' } });
  t.equal(refused.status, 200, 'another offer of an upgrade is ignored');
});
