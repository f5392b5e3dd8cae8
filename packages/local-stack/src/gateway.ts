import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { gatewayErrors } from './gateway-errors.ts';
import { answerProblem, answerProblemOnSocket, createGatewayProxy, type GatewayProxy } from './gateway-proxy.ts';
import { findTarget } from './gateway-routes.ts';
import { describePortOwner } from './port-owner.ts';
import { errorCode, errorText, StackError } from './stack-error.ts';
import { PROJECT_ROOT } from './state-paths.mjs';
import { serveStaticFiles } from './static-files.ts';
import { UpstreamPool } from './upstream-pool.ts';

export interface StartGatewayOptions {
  /** The same port on 127.0.0.1 and, where the machine has it, on ::1. Zero picks a free one. */
  port: number;
  /** Where auth-service listens, for instance `http://127.0.0.1:8001`; of several instances, each. */
  authUrl: string | readonly string[];
  notifyUrl: string | readonly string[];
  /** Folder of the web page; default `packages/web/public`. */
  webRoot?: string;
  /** Told in one line whenever a service could not be reached or failed to answer. */
  onTrouble?: (line: string) => void;
}

export interface RunningGateway {
  /** For instance `http://localhost:8000`. */
  readonly url: string;
  readonly port: number;
  /** The addresses it listens on. */
  readonly addresses: readonly string[];
  /** No new connections; what is open goes on. */
  stopAccepting(): void;
  /** Closes everything. */
  close(): Promise<void>;
}

// A request line and its headers arrive in one packet; ten seconds are generous, and an attacker's slow
// headers cost a socket for no longer.
const HEADERS_TIMEOUT_MS = 10_000;

// The largest body the services accept is far below a megabyte.
const REQUEST_TIMEOUT_MS = 60_000;

// Longer than clients keep idle connections (undici 4 s, browsers and proxies about a minute): they close, not we.
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

// A client that reads nothing and sends nothing while an answer waits for it. Heartbeats keep event streams alive,
// and upgraded sockets are not subject to it.
const SILENCE_TIMEOUT_MS = 120_000;

// How late the three limits above may be noticed.
const CONNECTIONS_CHECK_INTERVAL_MS = 5_000;

// Each costs two descriptors and some kernel buffers; a newcomer's machine has no use for more.
const CONNECTIONS_MAX = 20_000;

// The port that ::1 gave may be taken on 127.0.0.1; only for port zero.
const PORT_ATTEMPTS = 10;

/**
 * Starts the one origin that clients see: `/api/`, `/.well-known/` → auth-service; `/ws/`, `/sse/`, `/api/presence`
 * and reading `/api/notifications` → notify-service; everything else → the web page.
 *
 * @throws StackError when the port is taken or not allowed.
 */
export async function startGateway(options: StartGatewayOptions): Promise<RunningGateway> {
  const proxy = createGatewayProxy(options.onTrouble ?? (() => undefined));
  const upstreams: Upstreams = {
    auth: new UpstreamPool([options.authUrl].flat()),
    notify: new UpstreamPool([options.notifyUrl].flat()),
  };
  for (let attempt = 1; ; attempt += 1) {
    const first = createGatewayServer(options, proxy, upstreams);
    await listen(first, '127.0.0.1', options.port);
    const { port } = first.address() as AddressInfo;
    const second = createGatewayServer(options, proxy, upstreams);
    try {
      const hasSecond = await listenIfAddressExists(second, '::1', port);
      return toRunning(proxy, upstreams, hasSecond ? [first, second] : [first], port);
    } catch (error) {
      first.close();
      if (options.port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

interface Upstreams {
  readonly auth: UpstreamPool;
  readonly notify: UpstreamPool;
}

function createGatewayServer(options: StartGatewayOptions, proxy: GatewayProxy, upstreams: Upstreams): Server {
  const serveFile = serveStaticFiles(options.webRoot ?? join(PROJECT_ROOT, 'packages/web/public'));
  const server = createServer({
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    connectionsCheckingInterval: CONNECTIONS_CHECK_INTERVAL_MS,
  });
  server.timeout = SILENCE_TIMEOUT_MS;
  server.maxConnections = CONNECTIONS_MAX;
  server.on('request', (request, response) => {
    const target = findTarget(request.method ?? '', request.url ?? '');
    if (target === 'invalid') answerProblem(request, response, gatewayErrors.invalid_request_target);
    else if (target === 'web') serveFile(request, response).catch(() => response.destroy());
    else proxy.forwardRequest(request, response, upstreams[target].pick());
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => undefined); // a client that vanishes; `close` follows
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      ignoreUpgrade(server, request, socket, head);
      return;
    }
    const target = findTarget(request.method ?? '', request.url ?? '');
    if (target === 'invalid') answerProblemOnSocket(request, socket, gatewayErrors.invalid_request_target);
    else if (target === 'web') ignoreUpgrade(server, request, socket, head);
    else proxy.forwardUpgrade(request, socket, head, upstreams[target].pick());
  });
  return server;
}

/**
 * A client may offer another protocol (Java's client and `curl --http2` offer HTTP/2), and RFC 9110 section 7.8
 * lets a server ignore that. Node has left HTTP at this point: the request is put back in front of the connection
 * without the offer and the connection handed to the server again.
 */
function ignoreUpgrade(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/1.1`];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? '';
    if (/^(upgrade|http2-settings|connection)$/i.test(name)) continue;
    lines.push(`${name}: ${request.rawHeaders[index + 1] ?? ''}`);
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(listenFailure(error, host, port));
    });
    server.listen({ host, port, ipv6Only: true }, () => {
      server.removeAllListeners('error');
      server.on('error', () => undefined); // no descriptors for one more connection: the client sees it
      resolve();
    });
  });
}

async function listenIfAddressExists(server: Server, host: string, port: number): Promise<boolean> {
  try {
    await listen(server, host, port);
    return true;
  } catch (error) {
    const code = error instanceof StackError ? errorCode(error.cause) : undefined;
    if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return false;
    throw error;
  }
}

function listenFailure(error: unknown, host: string, port: number): StackError {
  const code = errorCode(error);
  if (code === 'EADDRINUSE') return portTaken(port, error);
  if (code === 'EACCES') return portForbidden(port, error);
  return new StackError(`Cannot listen on ${host}:${port}: ${errorText(error)}`, 'Choose another port with --port.', {
    cause: error,
  });
}

export function portTaken(port: number, cause?: unknown): StackError {
  const owner = describePortOwner(port);
  return new StackError(
    `Port ${port} is taken by another program${owner === null ? '' : ` (${owner})`}`,
    `End that program (\`ss -ltnp 'sport = :${port}'\` shows it), or choose another port: ` +
      `\`npm start -- --port ${port === 8000 ? 8080 : port + 1}\`.`,
    { cause },
  );
}

export function portForbidden(port: number, cause?: unknown): StackError {
  return new StackError(
    `This user may not listen on port ${port}`,
    'Choose a port above 1023: `npm start -- --port 8080`.',
    { cause },
  );
}

function toRunning(
  proxy: GatewayProxy,
  upstreams: Upstreams,
  servers: readonly Server[],
  port: number,
): RunningGateway {
  const addresses = servers.map((server) => (server.address() as AddressInfo).address);
  const stopAccepting = (): void => {
    for (const server of servers) server.close();
    for (const server of servers) server.closeIdleConnections();
  };
  return {
    url: `http://localhost:${port}`,
    port,
    addresses,
    stopAccepting,
    close: async () => {
      const closed = servers.map(
        (server) => new Promise<void>((resolve) => (server.listening ? server.close(() => resolve()) : resolve())),
      );
      for (const server of servers) server.closeAllConnections();
      proxy.close();
      upstreams.auth.close();
      upstreams.notify.close();
      await Promise.all(closed);
    },
  };
}
