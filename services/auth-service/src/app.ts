import cors from '@fastify/cors';
import {
  errorHandlerPlugin,
  gracefulClosePlugin,
  healthPlugin,
  jsonBodyPlugin,
  loggingOptions,
  securityHeadersPlugin,
  serverOptions,
} from '@infrasignal/service-kit';
import { AccessTokenVerifier } from '@infrasignal/token-verifier';
import Fastify, { type FastifyInstance } from 'fastify';
import type { AuthConfig } from './config.ts';
import { accountsRoutes, AccountsService, meRoutes } from './features/accounts/index.ts';
import { KeyRing, keysRoutes } from './features/keys/index.ts';
import { PasswordPolicy, PasswordsService, passwordsRoutes } from './features/passwords/index.ts';
import {
  isAnySession,
  isOtherSession,
  RefreshTokens,
  revokeSessions,
  SessionOpener,
  sessionsRoutes,
  SessionsService,
} from './features/sessions/index.ts';
import { systemClock } from './lib/clock.ts';
import { createPasswordHasher } from './lib/password-hasher.ts';
import { accessGuardPlugin } from './plugins/access-guard-plugin.ts';
import { allowedHostsPlugin } from './plugins/allowed-hosts-plugin.ts';
import { brokerPlugin } from './plugins/broker-plugin.ts';
import { toUnavailableProblem } from './plugins/database-errors.ts';
import { browserSessionPlugin } from './plugins/browser-session-plugin.ts';
import { databasePlugin } from './plugins/database-plugin.ts';
import { outboxPlugin } from './plugins/outbox-plugin.ts';

/** 16 KiB: the largest body there is, a registration, is under 2 KiB. */
const BODY_BYTES_MAX = 16 * 1024;

/** A whole request must have arrived within 10 s; its body is one packet. */
const REQUEST_TIMEOUT_MS = 10_000;

/** How long a browser may remember a preflight: a change of the list shows within ten minutes. */
const CORS_MAX_AGE_SECONDS = 600;

/** Longer than the 60 s that proxies keep an idle upstream connection, so that we never close one under a request. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000;

/** Everything that auth-service is made of, in order. The database must be migrated (`migrateDatabase`). */
export async function buildApp(config: AuthConfig): Promise<FastifyInstance> {
  const app = Fastify({
    ...loggingOptions('auth-service', config.logLevel),
    ...serverOptions(),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // The nearest hops are ours, and only what they added to X-Forwarded-For is believed.
    trustProxy: (_address, hop) => hop < config.trustProxyHops,
    routerOptions: { ignoreTrailingSlash: true },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: true } },
  });

  await app.register(errorHandlerPlugin, { translate: toUnavailableProblem });
  await app.register(securityHeadersPlugin, { isDebug: config.isDebug });
  await app.register(healthPlugin);
  await app.register(gracefulClosePlugin);
  await app.register(allowedHostsPlugin, { allowedHosts: config.allowedHosts });
  await app.register(jsonBodyPlugin);
  await app.register(cors, {
    // An origin that is not listed is told nothing; one that is, is told by name, never `*`.
    origin: [...config.allowedOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'x-csrf-token', 'idempotency-key'],
    exposedHeaders: ['retry-after'],
    maxAge: CORS_MAX_AGE_SECONDS,
  });
  await app.register(databasePlugin, { databaseUrl: config.databaseUrl, poolMax: config.databasePoolMax });
  await app.register(brokerPlugin, { natsUrl: config.natsUrl });
  await app.register(outboxPlugin, {
    databaseUrl: config.databaseUrl,
    natsUrl: config.natsUrl,
    streamReplicas: config.streamReplicas,
  });
  await registerFeatures(app, config);
  return app;
}

/** The key ring, alive for as long as the app is. */
async function loadKeyRing(app: FastifyInstance, config: AuthConfig, secretKeys: SecretKeys): Promise<KeyRing> {
  const keyRing = await KeyRing.load({
    db: app.db,
    secretKeys,
    issuer: config.tokenIssuer,
    audience: config.tokenAudience,
    accessTtlSeconds: config.accessTokenTtlSeconds,
    rotationDays: config.signingKeyRotationDays,
    onError: (error) => app.log.warn({ err: error }, 'signing keys not checked, trying again'),
  });
  app.addHook('onReady', async () => keyRing.start());
  app.addHook('onClose', async () => keyRing.stop());
  return keyRing;
}

type SecretKeys = readonly [string, ...string[]];

async function registerFeatures(app: FastifyInstance, config: AuthConfig): Promise<void> {
  const secretKeys: SecretKeys = [config.secretKey, ...config.secretKeyFallbacks];
  const keyRing = await loadKeyRing(app, config, secretKeys);
  const refreshTokens = new RefreshTokens(secretKeys);
  const sessionOpener = new SessionOpener({
    sign: (claims) => keyRing.sign(claims),
    refreshTokens,
    clock: systemClock,
    accessTtlSeconds: config.accessTokenTtlSeconds,
    idleTtlSeconds: config.sessionIdleTtlSeconds,
    ttlSeconds: config.sessionTtlSeconds,
  });
  const common = {
    db: app.db,
    hasher: await createPasswordHasher({ memoryKib: config.argon2MemoryKib, iterations: config.argon2Iterations }),
    region: config.defaultRegion,
    announceEvent: () => app.announceEvent(),
  };
  const sessions = new SessionsService({
    ...common,
    sessionOpener,
    refreshTokens,
    verifier: new AccessTokenVerifier({
      issuer: config.tokenIssuer,
      audience: config.tokenAudience,
      keys: { find: (kid) => keyRing.findPublicKeyPem(kid) },
    }),
    idleTtlSeconds: config.sessionIdleTtlSeconds,
  });
  const policy = new PasswordPolicy({ lengthMin: config.passwordLengthMin, refusesCommon: !config.isDebug });
  const passwords = new PasswordsService({
    ...common,
    policy,
    endOtherSessions: (tx, userId, sessionId) =>
      revokeSessions(tx, { userId, which: isOtherSession(sessionId), reason: 'password_changed' }),
  });
  const accounts = new AccountsService({
    ...common,
    checkPassword: (password, context) => policy.check(password, context),
    provePassword: (userId, password) => passwords.prove(userId, password),
    endAllSessions: (tx, userId) => revokeSessions(tx, { userId, which: isAnySession, reason: 'user_deleted' }),
  });

  await app.register(browserSessionPlugin, {
    secretKeys,
    allowedOrigins: config.allowedOrigins,
    isDebug: config.isDebug,
  });
  await app.register(accessGuardPlugin, { findHolder: (token) => sessions.findHolder(token) });
  await app.register(keysRoutes(keyRing));
  await app.register(
    accountsRoutes(accounts, (request) =>
      sessionOpener.open({ userAgent: request.headers['user-agent'], address: request.ip }),
    ),
  );
  await app.register(meRoutes(accounts));
  await app.register(passwordsRoutes(passwords));
  await app.register(sessionsRoutes(sessions));
}
