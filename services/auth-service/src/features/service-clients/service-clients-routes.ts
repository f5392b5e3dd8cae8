import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { publicRoute } from '../../plugins/openapi-security.ts';
import { serviceClientErrors } from './service-clients-errors.ts';
import { ServiceTokenBodySchema, ServiceTokenSchema } from './service-clients-schemas.ts';
import type { ServiceClientsService } from './service-clients-service.ts';

const schema = {
  operationId: 'issueServiceToken',
  summary: 'Exchange a service’s id and secret for an access token',
  description: 'There is no refresh token: a service asks again with its secret.',
  tags: ['Services'],
  security: publicRoute,
  body: ServiceTokenBodySchema,
  response: { 200: ServiceTokenSchema },
  errors: [serviceClientErrors.invalid_client],
};

/** `POST /api/service/token/`: the client-credentials grant (RFC 6749 section 4.4), in JSON like every other route. */
export function serviceClientsRoutes(service: ServiceClientsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/service/token',
      { schema },
      async (request, reply) => {
        const { client_id: clientId, client_secret: secret } = request.body;
        const { access, expiresIn, scopes } = await service.issueToken(clientId, secret);
        reply.header('cache-control', 'no-store');
        return { access, token_type: 'Bearer' as const, expires_in: expiresIn, scope: scopes.join(' ') };
      },
    );
  };
}
