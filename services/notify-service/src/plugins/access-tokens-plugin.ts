import jwt from '@fastify/jwt';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Config } from '../config.ts';
import { AccessTokenVerifier } from '../gateway/access-token-verifier.ts';
import { JwksKeys } from '../gateway/jwks-keys.ts';

declare module 'fastify' {
  interface FastifyInstance {
    jwksKeys: JwksKeys;
    accessTokens: AccessTokenVerifier;
  }
}

async function accessTokens(app: FastifyInstance, { config }: { readonly config: Config }): Promise<void> {
  const keys = new JwksKeys({ url: config.jwksUrl, log: app.log });
  await app.register(jwt, {
    // No key of its own: each verification is given the one that the token's `kid` names.
    secret: { public: () => Promise.reject(new Error('a key is always given')) },
  });
  app.decorate('jwksKeys', keys);
  const rules = { issuer: config.tokenIssuer, audience: config.tokenAudience };
  app.decorate('accessTokens', new AccessTokenVerifier(app.jwt, keys, rules));
  app.addReadinessCheck('keys', () => (keys.isLoaded ? null : 'the verification keys have not been fetched yet'));
  app.addHook('onReady', async () => {
    keys.start();
  });
  app.addHook('onClose', async () => {
    keys.stop();
  });
}

/** Verifies access tokens with the keys of auth-service. */
export const accessTokensPlugin = fp(accessTokens, { name: 'access-tokens', fastify: '5.x', dependencies: ['health'] });
