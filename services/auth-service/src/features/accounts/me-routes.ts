import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { commonErrors, type ErrorDefinition } from '@infrasignal/shared';
import { Type, type Static } from 'typebox';
import { getAccessHolder, getCaller } from '../../plugins/access-guard-plugin.ts';
import { getHashPlace } from '../../plugins/hash-queue-plugin.ts';
import { guardedChange, guardedRead } from '../../plugins/openapi-security.ts';
import { accountErrors, accountFieldErrors } from './accounts-errors.ts';
import {
  AccountDeletionBodySchema,
  ExportSchema,
  ProfileChangeBodySchema,
  ProfileSchema,
} from './accounts-schemas.ts';
import type { AccountsService } from './accounts-service.ts';

type Profile = Awaited<ReturnType<AccountsService['getProfile']>>;

function toBody(profile: Profile): Static<typeof ProfileSchema> {
  return {
    user_id: profile.userId,
    phone_number: profile.phoneNumber,
    phone_number_e164: profile.phoneNumberE164,
    email: profile.email,
    created_at: profile.createdAt.toISOString(),
    last_login_at: profile.lastLoginAt?.toISOString() ?? null,
  };
}

const tags = ['Accounts'];

const getSchema = {
  operationId: 'getMe',
  summary: 'Read one’s account',
  tags,
  security: guardedRead,
  response: { 200: ProfileSchema },
};

const changeSchema = {
  operationId: 'changeMe',
  summary: 'Change the e-mail address',
  description: 'Needs the password: whoever holds the address may one day get back in with it.',
  tags,
  security: guardedChange,
  body: ProfileChangeBodySchema,
  response: { 200: ProfileSchema },
  errors: [commonErrors.throttled],
};

const deleteSchema = {
  operationId: 'deleteMe',
  summary: 'Delete one’s account',
  description: 'Needs the password. Ends all sessions, removes the personal data and frees the phone number.',
  tags,
  security: guardedChange,
  body: AccountDeletionBodySchema,
  response: { 204: Type.Null({ description: 'The account is gone.' }) },
  errors: [commonErrors.throttled],
};

const exportSchema = {
  operationId: 'exportMe',
  summary: 'Export everything that is held about oneself',
  tags,
  security: guardedRead,
  response: { 200: ExportSchema },
};

/**
 * `/api/me/`: one's own account, read, changed, exported, deleted.
 * @param proofErrors what a password that proves nothing is refused with
 */
export function meRoutes(
  service: AccountsService,
  proofErrors: readonly ErrorDefinition[],
): FastifyPluginAsyncTypebox {
  const current_password = proofErrors;
  const email = [accountFieldErrors.invalid_email, accountErrors.email_taken];
  return async (app) => {
    app.addHook('onRequest', (request) => app.requireAccess(request));
    // Personal data is in no cache.
    app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));

    app.get('/api/me', { schema: getSchema }, async (request) => toBody(service.toProfile(getAccessHolder(request))));

    app.patch(
      '/api/me',
      { schema: { ...changeSchema, fieldErrors: { current_password, email } }, config: { hashesPassword: true } },
      async (request) => {
        const { email, current_password: currentPassword } = request.body;
        return toBody(await service.changeEmail(getCaller(request), email, currentPassword, getHashPlace(request)));
      },
    );

    app.delete(
      '/api/me',
      { schema: { ...deleteSchema, fieldErrors: { current_password } }, config: { hashesPassword: true } },
      async (request, reply) => {
        await service.delete(getCaller(request), request.body.current_password, getHashPlace(request));
        return reply.code(204).send(null);
      },
    );

    app.get('/api/me/export', { schema: exportSchema }, async (request, reply) => {
      const everything = await service.exportEverything(getAccessHolder(request).userId);
      reply.header('content-disposition', 'attachment; filename="infrasignal-export.json"');
      return {
        ...toBody(everything),
        scopes: everything.scopes,
        sessions: everything.sessions.map((session) => ({
          id: session.id,
          created_at: session.createdAt.toISOString(),
          last_used_at: session.lastUsedAt.toISOString(),
          expires_at: session.expiresAt.toISOString(),
          revoked_at: session.revokedAt?.toISOString() ?? null,
          user_agent: session.userAgent,
          address: session.address,
        })),
        events: everything.events.map((event) => ({ ...event, time: event.time.toISOString() })),
      };
    });
  };
}
