import {
  commonErrors,
  fieldErrors,
  hasScope,
  isUserId,
  SCOPE_READ_PRESENCE,
  type AccessTokenClaims,
} from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { invalidToken, missingToken, notReady, readBearer } from '../gateway/handshake.ts';
import { PresenceLog } from './presence-log.ts';

/** The broker is away: it is asked for again at once when it is back. */
const RETRY_AFTER_SECONDS = 1;

function readUserId(text: string): number {
  const userId = Number(text);
  if (/^[1-9][0-9]*$/.test(text) && isUserId(userId)) return userId;
  const { code, detail } = fieldErrors.invalid_value;
  throw new ProblemError(commonErrors.invalid_request, { errors: [{ pointer: '/user_id', code, detail }] });
}

function checkScope(claims: AccessTokenClaims): void {
  if (hasScope(claims, SCOPE_READ_PRESENCE)) return;
  throw new ProblemError(commonErrors.insufficient_scope, {
    detail: `This needs the scope ${SCOPE_READ_PRESENCE}.`,
    // RFC 6750 section 3.1.
    headers: { 'www-authenticate': `Bearer error="insufficient_scope", scope="${SCOPE_READ_PRESENCE}"` },
  });
}

async function presenceRoute(app: FastifyInstance): Promise<void> {
  const { broker, connectionContext, hub } = app;

  async function authorise({ headers }: FastifyRequest): Promise<void> {
    const token = readBearer(headers.authorization);
    if (token === null) throw missingToken();
    const claims = await connectionContext.admission.verify(token);
    if (hub.isRevoked(claims.sid)) throw invalidToken();
    checkScope(claims);
  }

  app.get<{ Params: { user_id: string } }>('/api/presence/:user_id', { onRequest: authorise }, async (request, reply) => {
    const userId = readUserId(request.params.user_id);
    const { connection } = broker;
    if (connection === null) throw notReady(RETRY_AFTER_SECONDS);
    const change = await PresenceLog.open(connection)
      .then((presence) => presence.find(userId))
      .catch((error: unknown) => {
        request.log.warn({ err: error }, 'presence cannot be read');
        throw notReady(RETRY_AFTER_SECONDS);
      });
    reply.header('cache-control', 'no-store');
    return { user_id: userId, is_online: change?.isOnline ?? false, since: change?.event.time ?? null };
  });
}

/** `GET /api/presence/{user_id}`: whether a user is online, and since when they are or are not. */
export const presenceRoutePlugin = fp(presenceRoute, {
  name: 'presence-route',
  fastify: '5.x',
  dependencies: ['presence', 'gateway', 'error-handler'],
});
