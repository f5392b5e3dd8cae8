import { commonErrors } from '@infrasignal/shared';
import { ProblemError, type Traced } from '@infrasignal/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { isUnsafe } from './browser-session-plugin.ts';

/**
 * Who makes a guarded request, by which session, with what rights; and what their account says of them, which is read
 * together with the session.
 */
export interface AccessHolder {
  readonly userId: number;
  readonly sessionId: string;
  /** Space-separated. */
  readonly scope: string;
  readonly phoneNumber: string;
  /** Null for a service. */
  readonly phoneNumberE164: string | null;
  readonly email: string | null;
  readonly createdAt: Date;
  readonly lastLoginAt: Date | null;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** `onRequest` of a guarded route: refuses it before its body is read, unless the token and its session are good. */
    requireAccess(request: FastifyRequest): Promise<void>;
  }
  interface FastifyRequest {
    accessHolder: AccessHolder | null;
  }
}

export interface AccessGuardOptions {
  readonly findHolder: (accessToken: string) => Promise<AccessHolder | null>;
}

/** The token of `Authorization: Bearer …` (RFC 6750 section 2.1), or null. */
export function readBearerToken(request: FastifyRequest): string | null {
  const [scheme, token, ...rest] = (request.headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || token === undefined || token === '' || rest.length > 0) return null;
  return token;
}

/** Who makes this request. @throws Error on a route that forgot its guard */
export function getAccessHolder(request: FastifyRequest): AccessHolder {
  if (request.accessHolder === null) throw new Error(`${request.url} asks who its caller is but is not guarded`);
  return request.accessHolder;
}

/**
 * Who makes this request, and as part of which trace: for what writes an event.
 * @throws Error on a route that forgot its guard
 */
export function getCaller(request: FastifyRequest): AccessHolder & Traced {
  return { ...getAccessHolder(request), traceparent: request.traceparent };
}

async function accessGuard(app: FastifyInstance, { findHolder }: AccessGuardOptions): Promise<void> {
  app.decorateRequest('accessHolder', null);
  app.decorate('requireAccess', async (request: FastifyRequest) => {
    const bearer = readBearerToken(request);
    const token = bearer ?? app.browserSessions.readAccess(request);
    const holder = token === null ? null : await findHolder(token);
    if (holder === null) {
      // RFC 6750 section 3: no error code when the request carried no token at all.
      const challenge = token === null ? 'Bearer' : 'Bearer error="invalid_token"';
      throw new ProblemError(commonErrors.invalid_token, { headers: { 'www-authenticate': challenge } });
    }
    // A browser adds cookies to requests that another site made it send; nobody adds a bearer token unasked.
    if (bearer === null && isUnsafe(request)) app.browserSessions.assertCsrf(request, holder.sessionId);
    request.accessHolder = holder;
  });
}

/** Bearer tokens, or a browser's cookie with its CSRF token, on guarded routes: `onRequest: (request) => app.requireAccess(request)`, then `getAccessHolder(request)`, or `getCaller(request)`. */
export const accessGuardPlugin = fp(accessGuard, {
  name: 'access-guard',
  dependencies: ['browser-session', 'tracing'],
  fastify: '5.x',
});
