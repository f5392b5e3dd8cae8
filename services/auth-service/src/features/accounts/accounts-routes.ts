import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { TokenResponseSchema } from '@infrasignal/shared';
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
      { schema: { body: RegisterBodySchema, response: { 201: TokenResponseSchema } } },
      async (request, reply) => {
        const tokens = await service.register(request.body, openSession(request));
        // RFC 6749 section 5.1: tokens are in no cache.
        return reply.code(201).header('cache-control', 'no-store').send(tokens);
      },
    );
  };
}
