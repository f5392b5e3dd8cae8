import { randomUUID } from 'node:crypto';
import { Agent, ServerResponse, STATUS_CODES, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { toProblem, type ErrorDefinition } from '@infrasignal/shared/plain';
import { createProxyServer } from 'httpxy';
import { replaceForwardedHeaders } from './forwarded-headers.ts';
import { gatewayErrors } from './gateway-errors.ts';
import { errorCode, errorText } from './stack-error.ts';

export interface GatewayProxy {
  forwardRequest(request: IncomingMessage, response: ServerResponse, target: string): void;
  forwardUpgrade(request: IncomingMessage, socket: Socket, head: Buffer, target: string): void;
  /** Sockets that were upgraded and are still open, on the clients' side. */
  readonly upgraded: ReadonlySet<Socket>;
  close(): void;
}

// Shorter than every service's own keep-alive (5 s and more): a connection that the service is about to close is
// not used again, which would fail a request that cannot be repeated.
const UPSTREAM_IDLE_TIMEOUT_MS = 4_000;

// Silence of a service within one answer. A password hash behind a full queue takes seconds; the heartbeats of
// server-sent events come every half minute at the most.
const UPSTREAM_SILENCE_TIMEOUT_MS = 120_000;

// A handshake includes a resume lookup in the broker; longer means that the service is frozen.
const UPGRADE_TIMEOUT_MS = 30_000;

// One end of a socket has said goodbye: the time the other has to do so, before both are cut.
const HALF_CLOSED_TIMEOUT_MS = 15_000;

// What a client is told to wait: a service that crashed is back after one to two seconds.
const RETRY_AFTER_SECONDS = 2;

/**
 * Forwards requests and upgrades with httpxy, which hands a refused upgrade's status, headers and body through
 * (tested in gateway.test.ts). What is added here: forwarding headers that a client cannot forge, answers as
 * application/problem+json when a service is away, and no half-open sockets.
 */
export function createGatewayProxy(onTrouble: (line: string) => void): GatewayProxy {
  const agent = new Agent({ keepAlive: true, timeout: UPSTREAM_IDLE_TIMEOUT_MS });
  const proxy = createProxyServer({});
  const upgraded = new Set<Socket>();
  const timedOut = new WeakSet<IncomingMessage>();

  proxy.on('proxyReq', (upstream: ClientRequest, request: IncomingMessage) => {
    upstream.on('timeout', () => timedOut.add(request));
  });
  proxy.on('proxyRes', (answer: IncomingMessage) => {
    // They describe the connection between gateway and service; the client's has its own.
    delete answer.headers['keep-alive'];
    delete answer.headers.connection;
  });
  proxy.on('proxyReqWs', (upstream: ClientRequest, _request: IncomingMessage, socket: Socket) => {
    upstream.on('upgrade', (_answer, upstreamSocket: Socket) => {
      upgraded.add(socket);
      socket.once('close', () => upgraded.delete(socket));
      tieTogether(socket, upstreamSocket);
    });
  });
  proxy.on('error', (error: unknown, request?: IncomingMessage, client?: ServerResponse | Socket) => {
    if (request === undefined || client === undefined) return;
    onTrouble(`${request.method ?? ''} ${pathOf(request)}: ${errorText(error)}`);
    const isTimeout = timedOut.has(request) || errorCode(error) === 'ERR_UPSTREAM_UPGRADE_TIMEOUT';
    const definition = isTimeout ? gatewayErrors.gateway_timeout : gatewayErrors.bad_gateway;
    if (client instanceof ServerResponse) answerProblem(request, client, definition);
    else if (!upgraded.has(client)) answerProblemOnSocket(request, client, definition);
  });

  return {
    upgraded,
    forwardRequest: (request, response, target) => {
      replaceForwardedHeaders(request);
      void proxy.web(request, response, { target, agent, proxyTimeout: UPSTREAM_SILENCE_TIMEOUT_MS });
    },
    forwardUpgrade: (request, socket, head, target) => {
      replaceForwardedHeaders(request);
      void proxy.ws(request, socket, { target, upgradeTimeout: UPGRADE_TIMEOUT_MS }, head);
    },
    close: () => {
      agent.destroy();
      for (const socket of upgraded) socket.destroy();
    },
  };
}

/** Answers with a problem; with one that is already half sent, the connection is cut so that the client notices. */
export function answerProblem(request: IncomingMessage, response: ServerResponse, definition: ErrorDefinition): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { headers, body } = renderProblem(request, definition);
  response.writeHead(definition.status, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** The same for an upgrade request, whose answer is written by hand. */
export function answerProblemOnSocket(request: IncomingMessage, socket: Socket, definition: ErrorDefinition): void {
  if (!socket.writable) return;
  const { headers, body } = renderProblem(request, definition);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const statusLine = `HTTP/1.1 ${definition.status} ${STATUS_CODES[definition.status] ?? ''}`;
  socket.end(`${[statusLine, ...lines].join('\r\n')}\r\n\r\n${body}`);
}

function renderProblem(
  request: IncomingMessage,
  definition: ErrorDefinition,
): { headers: Record<string, string>; body: string } {
  const problem = toProblem(definition, { instance: pathOf(request), requestId: randomUUID() });
  const body = JSON.stringify(problem);
  return {
    body,
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // The rest of a request body nobody reads may still be on its way.
      connection: 'close',
      ...(definition.status >= 500 ? { 'retry-after': String(RETRY_AFTER_SECONDS) } : {}),
    },
  };
}

/** A query string can hold what must not be repeated. */
function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}

/** What happens to one end happens to the other: a client that vanished frees the service's socket at once. */
function tieTogether(client: Socket, upstream: Socket): void {
  let timer: NodeJS.Timeout | undefined;
  const startTimer = (): void => {
    timer ??= setTimeout(() => {
      client.destroy();
      upstream.destroy();
    }, HALF_CLOSED_TIMEOUT_MS).unref();
  };
  client.once('end', startTimer);
  upstream.once('end', startTimer);
  client.once('close', () => {
    clearTimeout(timer);
    upstream.destroy();
  });
  upstream.once('close', () => {
    // What the service sent last (its close frame) still flows to the client; then the client's end is closed.
    if (!client.destroyed) {
      client.end();
      startTimer();
    }
  });
}
