import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { commonErrors } from '@infrasignal/shared';
import { idempotencyErrors } from '../../lib/idempotency-key.ts';
import { getAccessHolder, getCaller } from '../../plugins/access-guard-plugin.ts';
import { guardedChange } from '../../plugins/openapi-security.ts';
import { SendBodySchema, SendHeadersSchema, SentSchema } from './notifications-schemas.ts';
import type { NotificationsService } from './notifications-service.ts';

/** 64 KiB: a thousand ids of 16 digits, the longest texts and the largest data, all of it escaped, are 53 KiB. */
const BODY_BYTES_MAX = 64 * 1024;

const schema = {
  operationId: 'sendNotification',
  summary: 'Tell users something',
  description:
    'For services and staff with the scope `notifications:send` (to users) or `notifications:broadcast` (to ' +
    'everybody). It arrives like every other notification: in order, once, also after a break.',
  tags: ['Notifications'],
  security: guardedChange,
  headers: SendHeadersSchema,
  body: SendBodySchema,
  response: { 202: SentSchema },
  errors: [commonErrors.insufficient_scope, idempotencyErrors.idempotency_key_reused, commonErrors.throttled],
};

/** `POST /api/notifications/`; to read them is notify-service's. */
export function notificationsRoutes(service: NotificationsService): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/api/notifications',
      {
        bodyLimit: BODY_BYTES_MAX,
        onRequest: async (request) => {
          await app.requireAccess(request);
          service.checkSender(getAccessHolder(request));
        },
        schema,
      },
      async (request, reply) => {
        const key = request.headers['idempotency-key'];
        const sent = await service.send(getCaller(request), request.body, String(key));
        return reply.code(202).send({
          notification_id: sent.id,
          recipients: sent.recipientCount,
          unknown_user_ids: [...sent.unknownUserIds],
        });
      },
    );
  };
}
