import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { commonErrors, fieldErrors, SessionModeSchema, TokenAnswerSchema } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import { Type } from 'typebox';
import { phoneNumberFieldErrors } from '../../lib/phone-number.ts';
import { getAccessHolder, getCaller, readBearerToken } from '../../plugins/access-guard-plugin.ts';
import { getHashPlace } from '../../plugins/hash-queue-plugin.ts';
import { anyToken, guardedChange, guardedRead, publicRoute, refreshToken } from '../../plugins/openapi-security.ts';
import { sessionErrors } from './sessions-errors.ts';
import {
  EndedSessionsSchema,
  LoginBodySchema,
  LogoutBodySchema,
  LogoutEverywhereBodySchema,
  RefreshBodySchema,
  SessionListSchema,
  SessionParamsSchema,
  VerifyBodySchema,
} from './sessions-schemas.ts';
import type { SessionsService } from './sessions-service.ts';

const tags = ['Sessions'];

const loginSchema = {
  operationId: 'logIn',
  summary: 'Log in',
  description:
    'With `?session=cookie` the tokens are set as cookies for a browser: the body then has no `refresh`, but a ' +
    '`csrf_token`. A client that keeps no cookies should keep `device_token` and send it as `X-Device-Token` when it ' +
    'logs in again: then it is not kept waiting for what strangers get wrong.',
  tags,
  security: publicRoute,
  body: LoginBodySchema,
  querystring: SessionModeSchema,
  response: { 200: TokenAnswerSchema },
  errors: [sessionErrors.invalid_credentials, commonErrors.forbidden_origin, commonErrors.throttled],
  fieldErrors: { phone_number: [phoneNumberFieldErrors.invalid_phone_number] },
};

const refreshSchema = {
  operationId: 'refreshSession',
  summary: 'Exchange a refresh token for its successor and an access token',
  description:
    'For 10 seconds after the first exchange the same token gets the same successor, so an answer that was lost or ' +
    'several tabs at once do no harm. A token that is used later than that ends its session. With `?session=cookie` ' +
    'the token comes in its cookie and the body is left out.',
  tags,
  security: refreshToken,
  body: RefreshBodySchema,
  querystring: SessionModeSchema,
  response: { 200: TokenAnswerSchema },
  errors: [sessionErrors.invalid_refresh_token],
};

const verifySchema = {
  operationId: 'verifyToken',
  summary: 'Ask whether a token would be accepted now',
  tags,
  security: publicRoute,
  body: VerifyBodySchema,
  response: { 200: Type.Object({}, { additionalProperties: false, description: 'It would.', examples: [{}] }) },
  errors: [commonErrors.invalid_token],
};

const logoutSchema = {
  operationId: 'logOut',
  summary: 'End this session',
  description: 'Takes whatever belongs to the session, expired or unknown too. Its sockets are closed within a second.',
  tags,
  security: anyToken,
  body: LogoutBodySchema,
  response: { 204: Type.Null({ description: 'The session, if there was one, has ended.' }) },
};

const logoutEverywhereSchema = {
  operationId: 'logOutEverywhere',
  summary: 'End all sessions',
  tags,
  security: guardedChange,
  body: LogoutEverywhereBodySchema,
  response: { 200: EndedSessionsSchema },
};

const listSchema = {
  operationId: 'listSessions',
  summary: 'List one’s live sessions',
  tags,
  security: guardedRead,
  response: { 200: SessionListSchema },
};

const endSchema = {
  operationId: 'endSession',
  summary: 'End one of one’s sessions',
  tags,
  security: guardedChange,
  params: SessionParamsSchema,
  response: { 204: Type.Null({ description: 'The session has ended.' }) },
  errors: [sessionErrors.session_not_found],
};

/** Whoever asks about a token that is far too long is told that it is none, not that the question is. */
const VERIFY_BODY_BYTES_MAX = 80 * 1024;

/** Getting tokens and renewing them: the paths of the Django original and of SimpleJWT. */
function tokenRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    // RFC 6749 section 5.1: answers with tokens are in no cache.
    app.addHook('onSend', (_request, reply, _payload, done) => {
      reply.header('cache-control', 'no-store');
      done();
    });

    app.post(
      '/api/login',
      { schema: loginSchema, config: { hashesPassword: true } },
      async (request, reply) => {
        const isCookieMode = request.query.session === 'cookie';
        // Nobody may log a browser in to an account of their own choosing from another site.
        if (isCookieMode) app.browserSessions.assertOrigin(request);
        const device = app.knownDevices.find(request);
        const { ip: address, traceparent } = request;
        const origin = { userAgent: request.headers['user-agent'], address, device, traceparent };
        const { tokens, sessionId } = await service.logIn(request.body, origin, getHashPlace(request));
        const deviceToken = app.knownDevices.remember(request, reply, { userId: tokens.user_id, sessionId });
        if (isCookieMode) return app.browserSessions.establish(reply, tokens, sessionId);
        return { ...tokens, device_token: deviceToken };
      },
    );

    app.post(
      '/api/token/refresh',
      { schema: refreshSchema },
      async (request, reply) => {
        if (request.query.session !== 'cookie') {
          if (request.body === null) throw missingRefresh();
          return (await service.refresh(request.body.refresh, request.traceparent)).tokens;
        }
        const token = app.browserSessions.readRefresh(request) ?? '';
        const sessionId = service.findRefreshSession(token);
        if (sessionId === null) throw new ProblemError(sessionErrors.invalid_refresh_token);
        app.browserSessions.assertCsrf(request, sessionId);
        const { tokens } = await service.refresh(token, request.traceparent);
        return app.browserSessions.establish(reply, tokens, sessionId);
      },
    );

    app.post(
      '/api/token/verify',
      { schema: verifySchema, bodyLimit: VERIFY_BODY_BYTES_MAX },
      async (request) => {
        if (await service.isGood(request.body.token)) return {};
        throw new ProblemError(commonErrors.invalid_token, {
          headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
        });
      },
    );
  };
}

function missingRefresh(): ProblemError {
  const { code, detail } = fieldErrors.required;
  return new ProblemError(commonErrors.invalid_request, { errors: [{ pointer: '/refresh', code, detail }] });
}

/** Ending sessions, one's own and all. */
function logoutRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/logout',
      { schema: logoutSchema },
      async (request, reply) => {
        const { traceparent } = request;
        const access = readBearerToken(request);
        const refresh = request.body?.refresh;
        if (access !== null) await service.logOutByAccessToken(access, traceparent);
        if (refresh !== undefined) await service.logOutByRefreshToken(refresh, traceparent);
        const cookie = app.browserSessions.readRefresh(request);
        // A request that carries its own tokens is no cookie session's, whatever cookies a browser added to it.
        if (cookie !== null && access === null && refresh === undefined) {
          const sessionId = service.findRefreshSession(cookie);
          if (sessionId !== null) app.browserSessions.assertCsrf(request, sessionId);
          await service.logOutByRefreshToken(cookie, traceparent);
          app.browserSessions.clear(reply);
        }
        return reply.code(204).send(null);
      },
    );

    app.post(
      '/api/logout/all',
      {
        onRequest: (request) => app.requireAccess(request),
        schema: logoutEverywhereSchema,
      },
      async (request) => {
        const keepsCurrent = request.body?.keep_current ?? false;
        return { ended: await service.logOutEverywhere(getCaller(request), keepsCurrent) };
      },
    );
  };
}

/** The list of one's sessions. */
function sessionListRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.addHook('onRequest', (request) => app.requireAccess(request));

    app.get('/api/sessions', { schema: listSchema }, async (request) => {
      const { userId, sessionId } = getAccessHolder(request);
      const sessions = await service.listSessions(userId);
      return {
        sessions: sessions.map((session) => ({
          id: session.id,
          created_at: session.createdAt.toISOString(),
          last_used_at: session.lastUsedAt.toISOString(),
          user_agent: session.userAgent,
          address: session.addressPrefix,
          current: session.id === sessionId,
        })),
      };
    });

    app.delete(
      '/api/sessions/:session_id',
      { schema: endSchema },
      async (request, reply) => {
        await service.endSession(getCaller(request), request.params.session_id);
        return reply.code(204).send(null);
      },
    );
  };
}

/** Everything about sessions over HTTP. */
export function sessionsRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    await app.register(tokenRoutes(service));
    await app.register(logoutRoutes(service));
    await app.register(sessionListRoutes(service));
  };
}
