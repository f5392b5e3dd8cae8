import { ProblemError } from '@infrasignal/service-kit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { increment } from '../hub/hub-stats.ts';
import { checkQuery, readAfter, readToken, type Query } from './handshake.ts';
import { streamVariantOf, type Listener } from './listener.ts';
import { openConnection } from './open-connection.ts';
import { sseErrors } from './sse-errors.ts';
import { encodeRetry } from './sse-frame.ts';
import { SsePort } from './sse-port.ts';

const ROUTE = '/sse/notifications';

/** The stream ended without our closing it: what a socket calls 1006 (RFC 6455 section 7.1.5). */
const ABNORMAL_CLOSURE = 1006;

/**
 * A client that reconnects by itself waits a time from this range, its own: those that were cut off together do not
 * come back together. Shorter storms a node that restarts; longer, and a client that lost its way is deaf for long.
 */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 5_000;

const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // `no-transform`: a proxy that compresses would keep events back until it has a block of them.
  'cache-control': 'no-store, no-transform',
  // nginx and those that learnt it from there: pass on what comes, at once.
  'x-accel-buffering': 'no',
};

const MEDIA_RANGE = /^(?:text\/event-stream|text\/\*|\*\/\*)$/i;
const REFUSED_RANGE = /;\s*q=0(?:\.0{0,3})?\s*(?:;|$)/i;

/** True if `Accept` takes an event stream (RFC 9110 section 12.5.1); without the header anything does. */
function acceptsEventStream(accept: string | undefined): boolean {
  if (accept === undefined) return true;
  return accept.split(',').some((range) => {
    const [type = ''] = range.split(';', 1);
    return MEDIA_RANGE.test(type.trim()) && !REFUSED_RANGE.test(range);
  });
}

/** The header is newer than the URL, which a client that reconnects by itself repeats. */
function readLastEventId({ headers, query }: FastifyRequest): string | null {
  const header = headers['last-event-id'];
  // An empty one is what a client sends that has seen no `id` yet.
  if (typeof header === 'string' && header !== '') return header;
  return readAfter(query as Query);
}

async function sse(app: FastifyInstance): Promise<void> {
  const context = app.connectionContext;
  const { admission, gate, hub, stats } = context;

  /** Everything that can refuse a stream does so here, before it begins; the cheapest first. */
  async function admit(request: FastifyRequest): Promise<Listener> {
    const { headers, ip: address } = request;
    if (request.ws) throw new ProblemError(sseErrors.event_stream_only);
    gate.check(address);
    if (!acceptsEventStream(headers.accept)) throw new ProblemError(sseErrors.not_acceptable);
    checkQuery(request.query as Query);
    // A cookie is never looked at, as on a socket; an EventSource that cannot set headers cannot listen.
    const token = readToken(headers.authorization, { token: null });
    return admission.admit({ token, address, origin: headers.origin, hasControlFrames: true });
  }

  function start(request: FastifyRequest, reply: FastifyReply, listener: Listener): void {
    reply.hijack();
    const { raw: response } = reply;
    // A body, which nobody asked for, would stop the reading of the connection for as long as it is not read itself: its
    // end would go unseen, and a client that is there be cut off as one whose request never came whole.
    request.raw.resume();
    response.on('error', (error) => {
      // A peer that went away; `close` follows.
      request.log.debug({ err: error }, 'event stream error');
    });
    // What the hooks before put on the answer goes out with it.
    for (const [name, value] of Object.entries(reply.headers(STREAM_HEADERS).getHeaders())) {
      if (value !== undefined) response.setHeader(name, value);
    }
    response.writeHead(200);
    // Sends the headers off too: what the client missed may have to be read first.
    response.write(`${encodeRetry(RETRY_MS_MIN + Math.random() * (RETRY_MS_MAX - RETRY_MS_MIN))}\n`);
    const port = new SsePort(response, () => {
      hub.heard(connection);
    });
    const carrier = { port, variant: streamVariantOf(listener) };
    const connection = openConnection({ ...context, log: request.log }, carrier, listener, readLastEventId(request));
    response.on('close', () => {
      hub.closed(connection, ABNORMAL_CLOSURE);
    });
  }

  app.route({
    method: 'GET',
    url: ROUTE,
    // It would open a stream to answer without a body.
    exposeHeadRoute: false,
    config: { isLongLived: true },
    onRequest: async (request) => {
      try {
        request.listener = await admit(request);
        increment(stats.handshakes, 'accepted');
      } catch (error) {
        increment(stats.handshakes, error instanceof ProblemError ? error.definition.code : 'internal_error');
        throw error;
      }
    },
    handler: (request, reply) => {
      const { listener } = request;
      if (listener === null) throw new Error('a stream reached its handler without having been accepted');
      start(request, reply, listener);
      return reply;
    },
  });

  app.route({
    method: 'HEAD',
    url: ROUTE,
    handler: async (request, reply) => {
      await admit(request);
      return reply.headers(STREAM_HEADERS).send();
    },
  });
}

/** Server-sent events: `/sse/notifications`, the same as a socket where WebSocket does not pass. */
export const ssePlugin = fp(sse, { name: 'sse', fastify: '5.x', dependencies: ['gateway'] });
