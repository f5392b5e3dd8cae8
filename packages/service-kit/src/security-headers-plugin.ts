import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import helmet, { type HelmetOptions } from 'helmet';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';

/** One year, what browsers' preload lists ask for at least. */
const HSTS_SECONDS = 365 * 24 * 3600;

export interface SecurityHeadersOptions {
  /** With DEBUG the stack runs on plain http, where HSTS would lock a browser out of `localhost`. */
  readonly isDebug: boolean;
}

/** The headers that helmet gives to an answer. They depend on the options alone. */
function listHeaders(options: HelmetOptions): Record<string, string> {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  helmet(options)(response.req, response, (error) => {
    if (error !== undefined) throw error as Error;
  });
  return Object.fromEntries(Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]));
}

function securityHeaders(app: FastifyInstance, { isDebug }: SecurityHeadersOptions, done: () => void): void {
  const headers = listHeaders({
    // An API answers with data: nothing may be loaded from it, and nobody may frame it.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] },
    },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: isDebug ? false : { maxAge: HSTS_SECONDS, includeSubDomains: true },
  });
  app.addHook('onRequest', (_request, reply, next) => {
    reply.headers(headers);
    next();
  });
  done();
}

/**
 * The response headers of OWASP's REST cheat sheet, through helmet. It is asked once: put together for each answer anew,
 * as by its plugin for Fastify, they were 4 % of what a refresh costs.
 */
export const securityHeadersPlugin = fp(securityHeaders, { name: 'security-headers', fastify: '5.x' });
