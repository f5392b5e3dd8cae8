import { defineErrors, toProblem, type ErrorDefinition } from '@infrasignal/shared';
import type { FastifyHttpOptions } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that are refused before there is a request: what arrived is not HTTP as we read it. */
export const connectionErrors = defineErrors({
  malformed_request: [400, 'Malformed request', 'What was sent is not an HTTP request.'],
  request_timeout: [408, 'Request timeout', 'The request did not arrive in time.'],
  headers_too_large: [431, 'Headers too large', 'The headers are larger than this service accepts.'],
});

const definitionByNodeCode: Readonly<Record<string, ErrorDefinition>> = {
  ERR_HTTP_REQUEST_TIMEOUT: connectionErrors.request_timeout,
  HPE_HEADER_OVERFLOW: connectionErrors.headers_too_large,
};

/**
 * So long a refused connection stays open for its answer to be read; closed at once, the client would see a reset in
 * its place while it is still sending. Longer lets those who never hang up themselves keep it.
 */
const LINGER_MS = 1_000;

/** Answers on the bare socket, as Node's documentation of `clientError` asks, and closes it. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const definition = definitionByNodeCode[error.code ?? ''] ?? connectionErrors.malformed_request;
  const body = JSON.stringify(toProblem(definition, { instance: '', requestId: randomUUID() }));
  const head = [
    `HTTP/1.1 ${definition.status} ${definition.title}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Node leaves the other half open until the peer closes it, which an attacker does not.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** A path whose escapes are no UTF-8 names no resource; with its percent signs escaped it is answered 404 like others. */
function toRoutableUrl(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const [path = '/'] = url.split('?', 1);
  try {
    decodeURIComponent(path);
    return url;
  } catch {
    return path.replaceAll('%', '%25') + url.slice(path.length);
  }
}

/** What a connection may cost, in time, bytes and requests. */
export interface ConnectionLimits {
  readonly headersMs: number;
  readonly requestMs: number;
  readonly silenceMs: number;
  readonly keepAliveMs: number;
  readonly checkIntervalMs: number;
  readonly headBytes: number;
  readonly requests: number;
}

/**
 * Without these, Fastify's and Node's defaults apply: of 500 connections that sent their headers byte by byte none was
 * closed in 15 s. Smaller costs clients on bad networks their requests; larger lets a stranger hold a connection, and
 * what hangs on it, for longer.
 */
export const connectionLimits: ConnectionLimits = {
  // From the connection, or the first byte of a further request, to the end of the headers. They come in one packet or
  // two, but counted is also the time for which this process had no core: with 5 s, requests that had long arrived were
  // answered 408 on a machine that was far too busy.
  headersMs: 10_000,
  // The whole request. Its body is at most 80 KiB, which any network that can be used brings in this time.
  requestMs: 13_000,
  // Nothing moves in either direction: a handler that hangs, or a client that does not read what it asked for (which
  // Node notices after twice the time). Longer than any answer of ours takes (a full queue, a database that has just
  // gone) and than the pauses of an event stream, whose heartbeats come every 25 s. Upgraded sockets are not subject
  // to it.
  silenceMs: 40_000,
  // Between two requests. Longer than the 60 s for which proxies keep an idle connection, so that we never close one
  // under a request.
  keepAliveMs: 72_000,
  // How late the first two may be noticed; Node's own 30 s would make 40 of the 10. A look costs microseconds.
  checkIntervalMs: 1_000,
  // Request line and headers. Tokens and cookies are 2 KiB; larger only feeds the parser.
  headBytes: 16 * 1024,
  // Then the answer says `Connection: close`. Bounds what one connection can ask without a pause, and lets clients of a
  // grown service find its new instances; smaller would cost busy proxies a handshake too often.
  requests: 1_000,
};

/** What every service gives to Fastify, so that also what never reaches a route is bounded and answered as a problem. */
export function serverOptions(limits: ConnectionLimits = connectionLimits) {
  return {
    http: {
      maxHeaderSize: limits.headBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      // Node's own refusal has no body; connectionLimitsPlugin refuses as a problem (RFC 9112 section 3.2).
      requireHostHeader: false,
    },
    // Fastify sets these on the server after it is made, its own defaults too.
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.silenceMs,
    keepAliveTimeout: limits.keepAliveMs,
    maxRequestsPerSocket: limits.requests,
    clientErrorHandler: refuseConnection,
    rewriteUrl: toRoutableUrl,
    // A request on a connection that was open before closing began is one in flight: answered, not turned away.
    return503OnClosing: false,
  } satisfies FastifyHttpOptions<Server>;
}
