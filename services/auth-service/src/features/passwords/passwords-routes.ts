import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { commonErrors } from '@infrasignal/shared';
import { getCaller } from '../../plugins/access-guard-plugin.ts';
import { getHashPlace } from '../../plugins/hash-queue-plugin.ts';
import { guardedChange } from '../../plugins/openapi-security.ts';
import { passwordErrors, passwordFieldErrors } from './passwords-errors.ts';
import { PasswordChangeBodySchema, PasswordChangedSchema } from './passwords-schemas.ts';
import type { PasswordsService } from './passwords-service.ts';

const schema = {
  operationId: 'changePassword',
  summary: 'Change the password',
  description: 'Ends all other sessions.',
  tags: ['Passwords'],
  security: guardedChange,
  body: PasswordChangeBodySchema,
  response: { 200: PasswordChangedSchema },
  errors: [commonErrors.throttled],
  fieldErrors: {
    current_password: Object.values(passwordErrors),
    new_password: Object.values(passwordFieldErrors),
  },
};

/** `POST /api/password/change/` */
export function passwordsRoutes(service: PasswordsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/password/change',
      {
        onRequest: (request) => app.requireAccess(request),
        schema,
        config: { hashesPassword: true },
      },
      async (request) => {
        const { current_password: current, new_password: next } = request.body;
        const passwords = { current, next };
        return { ended: await service.change(getCaller(request), passwords, getHashPlace(request)) };
      },
    );
  };
}
