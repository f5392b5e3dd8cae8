import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { commonErrors, SessionModeSchema, TokenAnswerSchema, type ErrorDefinition } from '@infrasignal/shared';
import type { FastifyRequest } from 'fastify';
import { idempotencyErrors } from '../../lib/idempotency-key.ts';
import { phoneNumberFieldErrors } from '../../lib/phone-number.ts';
import { getHashPlace } from '../../plugins/hash-queue-plugin.ts';
import { publicRoute } from '../../plugins/openapi-security.ts';
import { accountErrors, accountFieldErrors } from './accounts-errors.ts';
import { RegisterBodySchema, RegisterHeadersSchema } from './accounts-schemas.ts';
import type { AccountsService, FirstSession } from './accounts-service.ts';

function registerSchema(passwordFieldErrors: readonly ErrorDefinition[]) {
  return {
    operationId: 'register',
    summary: 'Create an account and log in',
    description: 'The password is refused if it is short or among the first that an attacker would try.',
    tags: ['Accounts'],
    security: publicRoute,
    body: RegisterBodySchema,
    querystring: SessionModeSchema,
    headers: RegisterHeadersSchema,
    response: { 201: TokenAnswerSchema },
    errors: [
      commonErrors.forbidden_origin,
      commonErrors.throttled,
      idempotencyErrors.idempotency_key_reused,
      accountErrors.idempotency_key_spent,
    ],
    fieldErrors: {
      phone_number: [phoneNumberFieldErrors.invalid_phone_number, accountErrors.phone_number_taken],
      email: [accountFieldErrors.invalid_email, accountErrors.email_taken],
      password: passwordFieldErrors,
    },
  };
}

/** `POST /api/register/`. @param passwordFieldErrors what the password policy refuses with */
export function accountsRoutes(
  service: AccountsService,
  openSession: (request: FastifyRequest) => FirstSession,
  passwordFieldErrors: readonly ErrorDefinition[],
): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/register',
      { schema: registerSchema(passwordFieldErrors), config: { hashesPassword: true } },
      async (request, reply) => {
        const isCookieMode = request.query.session === 'cookie';
        if (isCookieMode) app.browserSessions.assertOrigin(request);
        const key = request.headers['idempotency-key'];
        const { sessionId, tokens } = await service.register(request.body, {
          session: openSession(request),
          idempotencyKey: typeof key === 'string' ? key : null,
          address: request.ip,
          place: getHashPlace(request),
        });
        // RFC 6749 section 5.1: tokens are in no cache.
        reply.code(201).header('cache-control', 'no-store');
        const deviceToken = app.knownDevices.remember(request, reply, { userId: tokens.user_id, sessionId });
        if (isCookieMode) return app.browserSessions.establish(reply, tokens, sessionId);
        return { ...tokens, device_token: deviceToken };
      },
    );
  };
}
