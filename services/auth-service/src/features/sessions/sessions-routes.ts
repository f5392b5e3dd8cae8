import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { TokenResponseSchema } from '@infrasignal/shared';
import { LoginBodySchema } from './sessions-schemas.ts';
import type { SessionsService } from './sessions-service.ts';

/** `POST /api/login/` */
export function sessionsRoutes(service: SessionsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/login',
      { schema: { body: LoginBodySchema, response: { 200: TokenResponseSchema } } },
      async (request, reply) => {
        const origin = { userAgent: request.headers['user-agent'], address: request.ip };
        const tokens = await service.logIn(request.body, origin);
        // RFC 6749 section 5.1: tokens are in no cache.
        return reply.header('cache-control', 'no-store').send(tokens);
      },
    );
  };
}
