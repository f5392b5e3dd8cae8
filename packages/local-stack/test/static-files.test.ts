// If this breaks, the web page does not load, is stale after an update, or files outside it can be read.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { serveStaticFiles } from '../src/static-files.ts';

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

type Get = (path: string, method?: string, headers?: Record<string, string>) => Promise<Answer>;

async function start(t: Test): Promise<{ get: Get; webRoot: string }> {
  const base = mkdtempSync(join(tmpdir(), 'static-files-'));
  const webRoot = join(base, 'public');
  mkdirSync(join(webRoot, 'assets'), { recursive: true });
  mkdirSync(join(webRoot, '.git'));
  mkdirSync(join(base, 'public-of-somebody-else'));
  writeFileSync(join(base, 'secret.txt'), 'secret');
  writeFileSync(join(base, 'public-of-somebody-else/secret.txt'), 'secret');
  writeFileSync(join(webRoot, '.env'), 'secret');
  writeFileSync(join(webRoot, '.git/config'), 'secret');
  writeFileSync(join(webRoot, 'index.html'), '<h1>hello é</h1>');
  writeFileSync(join(webRoot, 'assets/app.js'), 'export {};');
  symlinkSync(join(base, 'secret.txt'), join(webRoot, 'link.txt'));
  const serve = serveStaticFiles(webRoot);
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    rmSync(base, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  const get: Get = (path, method = 'GET', headers = {}) =>
    new Promise((resolve, reject) => {
      // node:http sends the path as it is; fetch would resolve `..` first.
      const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      });
      request.on('error', reject);
      request.end();
    });
  return { get, webRoot };
}

test('files with their type, tag and security headers', async (t) => {
  const { get, webRoot } = await start(t);
  const page = await get('/?from=mail');
  t.match(page, { status: 200, body: '<h1>hello é</h1>' });
  t.match(page.headers, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': '17',
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    'content-security-policy': /default-src 'none'; script-src 'self'/,
  });
  t.equal((await get('/assets/app.js')).headers['content-type'], 'text/javascript; charset=utf-8');
  const head = await get('/', 'HEAD');
  t.match(head, { status: 200, body: '', headers: { 'content-length': '17', etag: page.headers.etag } });

  const tag = String(page.headers.etag);
  t.match(await get('/', 'GET', { 'if-none-match': tag }), { status: 304, body: '' });
  t.match(await get('/', 'GET', { 'if-none-match': `"other", W/${tag}` }), { status: 304 });
  writeFileSync(join(webRoot, 'index.html'), '<h1>hello e</h1>');
  t.match(await get('/', 'GET', { 'if-none-match': tag }), { status: 200, body: '<h1>hello e</h1>' });
});

test('nothing but the files of the folder', async (t) => {
  const { get } = await start(t);
  const refused = [
    '/missing',
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/%2e%2e%2fpublic-of-somebody-else/secret.txt',
    '/..\\secret.txt',
    '/..%5csecret.txt',
    '/.env',
    '/%2eenv',
    '/.git/config',
    '/link.txt',
    '/index.html%00.png',
    '/%',
    '/assets',
    '/assets/',
    '//etc/passwd',
  ];
  for (const path of refused) {
    const answer = await get(path);
    t.equal(answer.status, 404, path);
    t.notMatch(answer.body, 'secret');
    t.match(answer.headers, { 'content-type': 'text/html; charset=utf-8', 'x-content-type-options': 'nosniff' });
  }
  const posted = await get('/', 'POST');
  t.match(posted, { status: 405, headers: { allow: 'GET, HEAD' } });
});

test('the folder’s own 404 page is used', async (t) => {
  const { get, webRoot } = await start(t);
  writeFileSync(join(webRoot, '404.html'), 'ours');
  t.match(await get('/missing'), { status: 404, body: 'ours' });
});
