import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { ServiceTokenBodySchema, ServiceTokenSchema } from './service-clients-schemas.ts';
import type { ServiceClientsService } from './service-clients-service.ts';

/** `POST /api/service/token/`: the client-credentials grant (RFC 6749 section 4.4), in JSON like every other route. */
export function serviceClientsRoutes(service: ServiceClientsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/service/token',
      { schema: { body: ServiceTokenBodySchema, response: { 200: ServiceTokenSchema } } },
      async (request, reply) => {
        const { client_id: clientId, client_secret: secret } = request.body;
        const { access, expiresIn, scopes } = await service.issueToken(clientId, secret);
        reply.header('cache-control', 'no-store');
        return { access, token_type: 'Bearer' as const, expires_in: expiresIn, scope: scopes.join(' ') };
      },
    );
  };
}
