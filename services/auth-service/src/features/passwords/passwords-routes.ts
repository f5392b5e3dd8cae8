import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { getAccessHolder } from '../../plugins/access-guard-plugin.ts';
import { PasswordChangeBodySchema, PasswordChangedSchema } from './passwords-schemas.ts';
import type { PasswordsService } from './passwords-service.ts';

/** `POST /api/password/change/` */
export function passwordsRoutes(service: PasswordsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/password/change',
      {
        onRequest: (request) => app.requireAccess(request),
        schema: { body: PasswordChangeBodySchema, response: { 200: PasswordChangedSchema } },
      },
      async (request) => {
        const { current_password: current, new_password: next } = request.body;
        return { ended: await service.change(getAccessHolder(request), { current, next }) };
      },
    );
  };
}
