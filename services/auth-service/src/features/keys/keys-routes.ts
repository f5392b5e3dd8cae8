import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { isKnownTag, toEntityTag } from '@infrasignal/service-kit';
import { Type } from 'typebox';
import { publicRoute } from '../../plugins/openapi-security.ts';
import { JwksSchema } from './keys-schemas.ts';
import type { Clock } from '../../lib/clock.ts';
import type { KeyRing } from './keys-service.ts';

/** Verifiers may keep the set for 5 minutes; an unknown `kid` makes them look again at once. */
const MAX_AGE_SECONDS = 300;

const schema = {
  operationId: 'getSigningKeys',
  summary: 'The public keys of access tokens',
  description: 'A JSON Web Key Set (RFC 7517). Fetch it again when a token names a `kid` that is not in it.',
  tags: ['Keys'],
  security: publicRoute,
  response: { 200: JwksSchema, 304: Type.Null({ description: 'It is the one that `If-None-Match` names.' }) },
};

/**
 * `GET /.well-known/jwks.json`: public parts only. Its `Date` is the time by which tokens begin and end, so that who
 * verifies them can go by the same.
 */
export function keysRoutes(keyRing: KeyRing, clock: Clock): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/.well-known/jwks.json', { schema }, async (request, reply) => {
      const jwks = { keys: keyRing.published() };
      const etag = toEntityTag(JSON.stringify(jwks));
      reply.header('date', new Date(clock()).toUTCString());
      reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).header('etag', etag);
      if (isKnownTag(request.headers['if-none-match'], etag)) return reply.code(304).send(null);
      return jwks;
    });
  };
}
