import { AccessTokenVerifier, JwksKeySource } from '@infrasignal/token-verifier';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Config } from '../config.ts';

declare module 'fastify' {
  interface FastifyInstance {
    jwksKeys: JwksKeySource;
    accessTokens: AccessTokenVerifier;
  }
}

async function accessTokens(app: FastifyInstance, { config }: { readonly config: Config }): Promise<void> {
  const keys = new JwksKeySource({
    url: config.jwksUrl,
    onFetched: (kids) => {
      app.log.info({ kids }, 'verification keys fetched');
    },
    onError: (error) => {
      app.log.warn({ err: error }, 'verification keys could not be fetched');
    },
  });
  app.decorate('jwksKeys', keys);
  const { tokenIssuer: issuer, tokenAudience: audience } = config;
  app.decorate('accessTokens', new AccessTokenVerifier({ issuer, audience, keys, now: keys.timeOfDay }));
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
