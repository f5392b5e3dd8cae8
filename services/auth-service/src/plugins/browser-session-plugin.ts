import cookie, { type CookieSerializeOptions } from '@fastify/cookie';
import { commonErrors, defineErrors, type TokenResponse } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { deriveKeys } from '../lib/derived-key.ts';

export const browserSessionErrors = defineErrors({
  csrf_failed: [403, 'CSRF check failed', 'A cookie session needs its token in `X-CSRF-Token` for this request.'],
});

export interface BrowserSessionOptions {
  /** The first signs, all verify. */
  readonly secretKeys: readonly [string, ...string[]];
  readonly allowedOrigins: readonly string[];
  /** Plain http, where a browser refuses Secure cookies and the `__Host-` names that need them. */
  readonly isDebug: boolean;
}

/** What a token answer is in cookie mode: no refresh token in the body, and what unsafe requests must carry. */
export type CookieSessionAnswer = Omit<TokenResponse, 'refresh'> & { readonly csrf_token: string };

/** Cookies and CSRF protection of browsers' sessions. */
export interface BrowserSessions {
  /** The access token of the cookie, or null. */
  readAccess(request: FastifyRequest): string | null;
  /** The refresh token of the cookie, or null. */
  readRefresh(request: FastifyRequest): string | null;
  /** Puts the tokens into cookies. @returns the body without the refresh token */
  establish(reply: FastifyReply, tokens: TokenResponse, sessionId: string): CookieSessionAnswer;
  clear(reply: FastifyReply): void;
  /** @throws ProblemError forbidden_origin unless a page of an allowed origin sent this */
  assertOrigin(request: FastifyRequest): void;
  /** @throws ProblemError csrf_failed unless the header carries the session's token; also checks the origin */
  assertCsrf(request: FastifyRequest, sessionId: string): void;
}

declare module 'fastify' {
  interface FastifyInstance {
    browserSessions: BrowserSessions;
  }
}

const PURPOSE = 'csrf tokens v1';

/** Methods that change nothing (RFC 9110 section 9.2.1) need no CSRF token. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export function isUnsafe(request: FastifyRequest): boolean {
  return !SAFE_METHODS.has(request.method);
}

/** `X-CSRFToken` is Django's name for the header. */
function readCsrfHeader(request: FastifyRequest): string {
  const value = request.headers['x-csrf-token'] ?? request.headers['x-csrftoken'];
  return typeof value === 'string' ? value : '';
}

/** Names of the cookies. Browsers refuse the `__Host-` prefix and Secure cookies on plain http, which DEBUG is for. */
export function cookieNames(isDebug: boolean): { access: string; refresh: string; csrf: string } {
  const prefix = isDebug ? 'infrasignal_' : '__Host-infrasignal_';
  return { access: `${prefix}access`, refresh: `${prefix}refresh`, csrf: `${prefix}csrf` };
}

/** A token bound to the session by HMAC (OWASP's signed double-submit): another session's is worth nothing. */
function createCsrfTokens(secretKeys: BrowserSessionOptions['secretKeys']): {
  encode: (sessionId: string) => string;
  isGenuine: (token: string, sessionId: string) => boolean;
} {
  const keys = deriveKeys(secretKeys, PURPOSE);
  const mac = (key: Buffer, sessionId: string): Buffer => createHmac('sha256', key).update(sessionId).digest();
  return {
    encode: (sessionId) => mac(keys[0], sessionId).toString('base64url'),
    isGenuine: (token, sessionId) => {
      const given = Buffer.from(token, 'base64url');
      return keys.some((key) => given.length === key.length && timingSafeEqual(given, mac(key, sessionId)));
    },
  };
}

function assertOrigin(request: FastifyRequest, allowedOrigins: ReadonlySet<string>): void {
  const { origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  const isForeign = site === 'cross-site' || (origin !== undefined && !allowedOrigins.has(origin));
  // Every browser names the origin of an unsafe request; what has none is no page and can hold its tokens itself.
  if (isForeign || (origin === undefined && site !== 'same-origin')) {
    throw new ProblemError(commonErrors.forbidden_origin);
  }
}

async function browserSession(app: FastifyInstance, options: BrowserSessionOptions): Promise<void> {
  await app.register(cookie);
  const { secretKeys, isDebug } = options;
  const names = cookieNames(isDebug);
  const base = { path: '/', secure: !isDebug, sameSite: 'strict', httpOnly: true } satisfies CookieSerializeOptions;
  const csrf = createCsrfTokens(secretKeys);
  const allowedOrigins = new Set(options.allowedOrigins);

  const browserSessions: BrowserSessions = {
    readAccess: (request) => request.cookies[names.access] ?? null,
    readRefresh: (request) => request.cookies[names.refresh] ?? null,
    establish: (reply, { refresh, ...body }, sessionId) => {
      const csrfToken = csrf.encode(sessionId);
      reply.setCookie(names.access, body.access, { ...base, maxAge: body.expires_in });
      reply.setCookie(names.refresh, refresh, { ...base, maxAge: body.refresh_expires_in });
      // Readable by the page, which must repeat it in a header: only a page of this origin can.
      reply.setCookie(names.csrf, csrfToken, { ...base, httpOnly: false, maxAge: body.refresh_expires_in });
      return { ...body, csrf_token: csrfToken };
    },
    clear: (reply) => {
      for (const name of Object.values(names)) reply.clearCookie(name, base);
    },
    assertOrigin: (request) => assertOrigin(request, allowedOrigins),
    assertCsrf: (request, sessionId) => {
      assertOrigin(request, allowedOrigins);
      if (!csrf.isGenuine(readCsrfHeader(request), sessionId)) throw new ProblemError(browserSessionErrors.csrf_failed);
    },
  };
  app.decorate('browserSessions', browserSessions);
}

/** Sessions that live in a browser's cookies, for pages that should not hold a refresh token in JavaScript. */
export const browserSessionPlugin = fp(browserSession, { name: 'browser-session', fastify: '5.x' });
