import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { createHash } from 'node:crypto';
import { JwksSchema } from './keys-schemas.ts';
import type { KeyRing } from './keys-service.ts';

/** Verifiers may keep the set for 5 minutes; a key is published long before anything is signed with it. */
const MAX_AGE_SECONDS = 300;

/** `GET /.well-known/jwks.json`: public parts only. */
export function keysRoutes(keyRing: KeyRing): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/.well-known/jwks.json', { schema: { response: { 200: JwksSchema, 304: Type.Null() } } }, async (request, reply) => {
      const jwks = { keys: keyRing.published() };
      const etag = `"${createHash('sha256').update(JSON.stringify(jwks)).digest('base64url')}"`;
      reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).header('etag', etag);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send(null);
      return jwks;
    });
  };
}
