import { defineErrors, toProblem, type ErrorDefinition } from '@infrasignal/shared';
import type { FastifyServerOptions } from 'fastify';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
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

/** What every service gives to Fastify, so that also what never reaches a route is answered as problem+json. */
export function serverOptions(): Pick<FastifyServerOptions, 'clientErrorHandler' | 'rewriteUrl' | 'return503OnClosing'> {
  return {
    clientErrorHandler: refuseConnection,
    rewriteUrl: toRoutableUrl,
    // A request on a connection that was open before closing began is one in flight: answered, not turned away.
    return503OnClosing: false,
  };
}
