import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import fp from 'fastify-plugin';
import type { IncomingMessage } from 'node:http';
import { formatTraceparent, parseTraceparent } from './trace-context.ts';
import type { Span, Tracer } from './tracer.ts';

/** On the request as Node has it: Fastify's own does not exist yet when its log is made. */
const SPAN = Symbol('span');

interface MessageWithSpan extends IncomingMessage {
  [SPAN]?: Span;
}

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Where this request belongs in its trace, for what it sets off. It is handed on by name: to find it from anywhere
     * would cost every promise of the process (docs/adr/0058-the-trace-is-handed-on-by-name.md).
     */
    readonly traceparent: string;
  }
}

/** From here on it is the server that failed. */
const SERVER_ERROR_STATUS = 500;

function spanOf(raw: MessageWithSpan, tracer: Tracer): Span {
  raw[SPAN] ??= tracer.start('server', parseTraceparent(raw.headers.traceparent));
  return raw[SPAN];
}

/** For Fastify's options: every line about a request says which trace it belongs to. */
export function tracedLog(tracer: Tracer): Pick<FastifyServerOptions, 'childLoggerFactory'> {
  return {
    childLoggerFactory: (logger, bindings, options, raw) => {
      const { traceId } = spanOf(raw, tracer).context;
      return logger.child({ ...bindings, trace_id: traceId }, options);
    },
  };
}

function tracing(app: FastifyInstance, { tracer }: { readonly tracer: Tracer }, done: () => void): void {
  app.decorateRequest('traceparent', {
    // Put together only where it is asked for: most requests set nothing off.
    getter() {
      return formatTraceparent(spanOf(this.raw, tracer).context);
    },
  });
  if (tracer.isExporting) {
    app.addHook('onResponse', (request, reply, next) => {
      const { method, routeOptions } = request;
      // The route, not the path: what somebody put in its place may be anything.
      const route = routeOptions.url ?? 'unknown';
      spanOf(request.raw, tracer).end(`${method} ${route}`, {
        isFailed: reply.statusCode >= SERVER_ERROR_STATUS,
        attributes: {
          'http.request.method': method,
          'http.route': route,
          'http.response.status_code': reply.statusCode,
          'infrasignal.request_id': request.id,
        },
      });
      next();
    });
  }
  app.addHook('onClose', () => tracer.close());
  done();
}

/** Every request is a span, and says which trace it belongs to (`request.traceparent`). */
export const tracingPlugin = fp(tracing, { name: 'tracing', fastify: '5.x' });
