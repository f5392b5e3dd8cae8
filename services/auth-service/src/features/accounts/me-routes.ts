import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import { getAccessHolder } from '../../plugins/access-guard-plugin.ts';
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

/** `/api/me/`: one's own account, read, changed, exported, deleted. */
export function meRoutes(service: AccountsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.addHook('onRequest', (request) => app.requireAccess(request));
    // Personal data is in no cache.
    app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));

    app.get('/api/me', { schema: { response: { 200: ProfileSchema } } }, async (request) =>
      toBody(await service.getProfile(getAccessHolder(request).userId)),
    );

    app.patch(
      '/api/me',
      { schema: { body: ProfileChangeBodySchema, response: { 200: ProfileSchema } } },
      async (request) => {
        const { email, current_password: currentPassword } = request.body;
        return toBody(await service.changeEmail(getAccessHolder(request).userId, email, currentPassword));
      },
    );

    app.delete(
      '/api/me',
      { schema: { body: AccountDeletionBodySchema, response: { 204: Type.Null() } } },
      async (request, reply) => {
        await service.delete(getAccessHolder(request).userId, request.body.current_password);
        return reply.code(204).send(null);
      },
    );

    app.get('/api/me/export', { schema: { response: { 200: ExportSchema } } }, async (request, reply) => {
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
