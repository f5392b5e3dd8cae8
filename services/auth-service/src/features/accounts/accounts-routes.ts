import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { SessionModeSchema, TokenAnswerSchema } from '@infrasignal/shared';
import type { FastifyRequest } from 'fastify';
import { RegisterBodySchema } from './accounts-schemas.ts';
import type { AccountsService, FirstSession } from './accounts-service.ts';

/** `POST /api/register/` */
export function accountsRoutes(
  service: AccountsService,
  openSession: (request: FastifyRequest) => FirstSession,
): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/register',
      { schema: { body: RegisterBodySchema, querystring: SessionModeSchema, response: { 201: TokenAnswerSchema } } },
      async (request, reply) => {
        const isCookieMode = request.query.session === 'cookie';
        if (isCookieMode) app.browserSessions.assertOrigin(request);
        const session = openSession(request);
        const tokens = await service.register(request.body, session);
        // RFC 6749 section 5.1: tokens are in no cache.
        reply.code(201).header('cache-control', 'no-store');
        return isCookieMode ? app.browserSessions.establish(reply, tokens, session.id) : tokens;
      },
    );
  };
}
