import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ProblemError } from './problem-error.ts';
import { connectionErrors } from './server-options.ts';

export interface ConnectionLimitsOptions {
  /** Open connections of this server; a further one is closed before it is read. */
  readonly connectionsMax: number;
}

/**
 * Requests of one connection that are being answered at once. Clients send one and wait; pipelining is rare (RFC 9112
 * section 9.3.2). Node begins every request that a packet brings, 1,300 of the smallest in 64 KiB, before the first has
 * an answer: with 2,000 connections that is all memory there is. Smaller breaks clients that do pipeline.
 */
const REQUESTS_AT_ONCE_MAX = 10;

/** Node's own note of it, which its types leave out. */
function isLetGo(request: IncomingMessage & { readonly upgrade?: boolean }): boolean {
  return request.upgrade === true;
}

async function limitConnections(app: FastifyInstance, { connectionsMax }: ConnectionLimitsOptions): Promise<void> {
  app.server.maxConnections = connectionsMax;
  // One request more than a connection may have: the last answer said that it was the last.
  app.server.on('dropRequest', (_request, socket: Socket) => {
    socket.destroy();
  });
  // What else a client may expect is ignored (RFC 9110 section 10.1.1): Node's 417 has no body.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response);
  });
  const inProgress = new WeakMap<Socket, number>();
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const count = (inProgress.get(socket) ?? 0) + 1;
    if (count > REQUESTS_AT_ONCE_MAX) {
      // Without a word: the answers to those before it would have to come first.
      socket.destroy();
      reply.hijack();
      return;
    }
    inProgress.set(socket, count);
    reply.raw.once('close', () => inProgress.set(socket, (inProgress.get(socket) ?? 1) - 1));
    const { headers, httpVersion } = request.raw;
    const isNameless = httpVersion === '1.1' && headers.host === undefined;
    if (!isNameless) {
      done();
      return;
    }
    done(new ProblemError(connectionErrors.malformed_request));
  });
  // Node lets go of the connection of a request to upgrade, time limits included. Who takes it over has not heard of one
  // that is refused before its turn; nobody would ever close it.
  app.addHook('onResponse', (request, _reply, done) => {
    if (isLetGo(request.raw)) request.raw.socket.destroySoon();
    done();
  });
}

/** Bounds what connections can cost beyond what `serverOptions` says of each. Register it before everything else. */
export const connectionLimitsPlugin = fp(limitConnections, { name: 'connection-limits', fastify: '5.x' });
