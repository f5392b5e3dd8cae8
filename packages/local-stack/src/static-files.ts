import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.xml': 'application/xml; charset=utf-8',
};

/** For every answer of the web page: nothing from elsewhere is loaded, framed or sniffed. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const NOT_FOUND_PAGE = [
  '<!doctype html>',
  '<html lang="en">',
  '<meta charset="utf-8">',
  '<meta name="viewport" content="width=device-width">',
  '<title>404: not found</title>',
  '<h1>Not found <span lang="fr">· Page introuvable</span></h1>',
  '<p><a href="/">infraSignal</a></p>',
  '</html>',
  '',
].join('\n');

/** Answers requests with the files below one folder: GET and HEAD, ETag, 304, 404, 405, nothing outside it. */
export function serveStaticFiles(
  webRoot: string,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      sendText(request, response, 405, 'text/plain; charset=utf-8', 'Method not allowed\n');
      return;
    }
    const path = await findFile(webRoot, request.url ?? '/');
    if (path === null) {
      const own = await findFile(webRoot, '/404.html');
      const body = own === null ? NOT_FOUND_PAGE : await readFile(own, 'utf8');
      sendText(request, response, 404, 'text/html; charset=utf-8', body);
      return;
    }
    await sendFile(request, response, path);
  };
}

/** The file a request target names, or null. Hidden files and whatever lies outside the folder do not exist. */
async function findFile(webRoot: string, requestTarget: string): Promise<string | null> {
  let path: string;
  try {
    path = decodeURIComponent(requestTarget.split('?', 1)[0] ?? '/');
  } catch {
    return null; // not UTF-8
  }
  if (path.includes('\0') || path.includes('\\')) return null;
  const segments = path.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment.startsWith('.'))) return null; // covers `..`
  try {
    const root = await realpath(webRoot);
    const wanted = path.endsWith('/') ? join(root, ...segments, 'index.html') : join(root, ...segments);
    const real = await realpath(wanted);
    if (!real.startsWith(root + sep)) return null; // a link that leads out
    return (await stat(real)).isFile() ? real : null;
  } catch {
    return null;
  }
}

async function sendFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  // The page is a few dozen kilobytes: reading it whole keeps the tag and the body one and the same.
  const body = await readFile(path);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  response.setHeader('etag', etag);
  response.setHeader('cache-control', 'no-cache'); // kept, but asked for each time
  if (matchesTag(request.headers['if-none-match'], etag)) {
    response.writeHead(304).end();
    return;
  }
  response.writeHead(200, {
    'content-type': CONTENT_TYPES[extname(path)] ?? 'application/octet-stream',
    'content-length': body.length,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** RFC 9110 section 13.1.2: a list of tags or `*`, compared weakly. */
function matchesTag(condition: string | undefined, etag: string): boolean {
  if (condition === undefined) return false;
  return condition.split(',').some((tag) => {
    const bare = tag.trim().replace(/^W\//, '');
    return bare === '*' || bare === etag;
  });
}

function sendText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
}
