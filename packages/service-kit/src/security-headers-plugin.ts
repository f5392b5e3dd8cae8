import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

/** One year, what browsers' preload lists ask for at least. */
const HSTS_SECONDS = 365 * 24 * 3600;

export interface SecurityHeadersOptions {
  /** With DEBUG the stack runs on plain http, where HSTS would lock a browser out of `localhost`. */
  readonly isDebug: boolean;
}

async function securityHeaders(app: FastifyInstance, options: SecurityHeadersOptions): Promise<void> {
  await app.register(helmet, {
    global: true,
    // An API answers with data: nothing may be loaded from it, and nobody may frame it.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] },
    },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: options.isDebug ? false : { maxAge: HSTS_SECONDS, includeSubDomains: true },
  });
}

/** The response headers of OWASP's REST cheat sheet, through helmet. */
export const securityHeadersPlugin = fp(securityHeaders, { name: 'security-headers', fastify: '5.x' });
