import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { commonErrors, fieldErrors, SessionModeSchema, TokenAnswerSchema } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import { Type } from 'typebox';
import { getAccessHolder, readBearerToken } from '../../plugins/access-guard-plugin.ts';
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

const EmptySchema = Type.Object({}, { additionalProperties: false });
const NoContentSchema = Type.Null();

/** Getting tokens and renewing them: the paths of the Django original and of SimpleJWT. */
function tokenRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    // RFC 6749 section 5.1: answers with tokens are in no cache.
    app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));

    app.post(
      '/api/login',
      { schema: { body: LoginBodySchema, querystring: SessionModeSchema, response: { 200: TokenAnswerSchema } } },
      async (request, reply) => {
        const isCookieMode = request.query.session === 'cookie';
        // Nobody may log a browser in to an account of their own choosing from another site.
        if (isCookieMode) app.browserSessions.assertOrigin(request);
        const origin = { userAgent: request.headers['user-agent'], address: request.ip };
        const { tokens, sessionId } = await service.logIn(request.body, origin);
        return isCookieMode ? app.browserSessions.establish(reply, tokens, sessionId) : tokens;
      },
    );

    app.post(
      '/api/token/refresh',
      { schema: { body: RefreshBodySchema, querystring: SessionModeSchema, response: { 200: TokenAnswerSchema } } },
      async (request, reply) => {
        if (request.query.session !== 'cookie') {
          if (request.body === null) throw missingRefresh();
          return (await service.refresh(request.body.refresh)).tokens;
        }
        const token = app.browserSessions.readRefresh(request) ?? '';
        const sessionId = service.findRefreshSession(token);
        if (sessionId === null) throw new ProblemError(sessionErrors.invalid_refresh_token);
        app.browserSessions.assertCsrf(request, sessionId);
        const { tokens } = await service.refresh(token);
        return app.browserSessions.establish(reply, tokens, sessionId);
      },
    );

    app.post(
      '/api/token/verify',
      { schema: { body: VerifyBodySchema, response: { 200: EmptySchema } } },
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
      { schema: { body: LogoutBodySchema, response: { 204: NoContentSchema } } },
      async (request, reply) => {
        const access = readBearerToken(request);
        if (access !== null) await service.logOutByAccessToken(access);
        if (request.body?.refresh !== undefined) await service.logOutByRefreshToken(request.body.refresh);
        const cookie = app.browserSessions.readRefresh(request);
        // A request that carries its own tokens is no cookie session's, whatever cookies a browser added to it.
        if (cookie !== null && access === null && request.body?.refresh === undefined) {
          const sessionId = service.findRefreshSession(cookie);
          if (sessionId !== null) app.browserSessions.assertCsrf(request, sessionId);
          await service.logOutByRefreshToken(cookie);
          app.browserSessions.clear(reply);
        }
        return reply.code(204).send(null);
      },
    );

    app.post(
      '/api/logout/all',
      {
        onRequest: (request) => app.requireAccess(request),
        schema: { body: LogoutEverywhereBodySchema, response: { 200: EndedSessionsSchema } },
      },
      async (request) => {
        const holder = getAccessHolder(request);
        return { ended: await service.logOutEverywhere(holder, request.body?.keep_current ?? false) };
      },
    );
  };
}

/** The list of one's sessions. */
function sessionListRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.addHook('onRequest', (request) => app.requireAccess(request));

    app.get('/api/sessions', { schema: { response: { 200: SessionListSchema } } }, async (request) => {
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
      { schema: { params: SessionParamsSchema, response: { 204: NoContentSchema } } },
      async (request, reply) => {
        await service.endSession(getAccessHolder(request).userId, request.params.session_id);
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
