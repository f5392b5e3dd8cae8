import {
  errorHandlerPlugin,
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
import { databasePlugin } from './plugins/database-plugin.ts';
import { outboxPlugin } from './plugins/outbox-plugin.ts';

/** 16 KiB: the largest body there is, a registration, is under 2 KiB. */
const BODY_BYTES_MAX = 16 * 1024;

/** A whole request must have arrived within 10 s; its body is one packet. */
const REQUEST_TIMEOUT_MS = 10_000;

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
  await app.register(allowedHostsPlugin, { allowedHosts: config.allowedHosts });
  await app.register(jsonBodyPlugin);
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

async function registerFeatures(app: FastifyInstance, config: AuthConfig): Promise<void> {
  const { db } = app;
  const announceEvent = (): void => app.announceEvent();
  const hasher = await createPasswordHasher({
    memoryKib: config.argon2MemoryKib,
    iterations: config.argon2Iterations,
  });
  const keyRing = await KeyRing.load({
    db,
    secretKey: config.secretKey,
    issuer: config.tokenIssuer,
    audience: config.tokenAudience,
  });
  const verifier = new AccessTokenVerifier({
    issuer: config.tokenIssuer,
    audience: config.tokenAudience,
    keys: { find: (kid) => keyRing.findPublicKeyPem(kid) },
  });
  const refreshTokens = new RefreshTokens(config.secretKey);
  const sessionOpener = new SessionOpener({
    sign: (claims) => keyRing.sign(claims),
    refreshTokens,
    clock: systemClock,
    accessTtlSeconds: config.accessTokenTtlSeconds,
    idleTtlSeconds: config.sessionIdleTtlSeconds,
    ttlSeconds: config.sessionTtlSeconds,
  });
  const passwordPolicy = new PasswordPolicy({ lengthMin: config.passwordLengthMin, refusesCommon: !config.isDebug });
  const region = config.defaultRegion;
  const sessions = new SessionsService({
    db,
    hasher,
    sessionOpener,
    refreshTokens,
    verifier,
    region,
    idleTtlSeconds: config.sessionIdleTtlSeconds,
    announceEvent,
  });
  const passwords = new PasswordsService({
    db,
    hasher,
    policy: passwordPolicy,
    endOtherSessions: (tx, userId, sessionId) =>
      revokeSessions(tx, { userId, which: isOtherSession(sessionId), reason: 'password_changed' }),
    announceEvent,
  });
  const accounts = new AccountsService({
    db,
    hasher,
    region,
    announceEvent,
    checkPassword: (password, context) => passwordPolicy.check(password, context),
    provePassword: (userId, password) => passwords.prove(userId, password),
    endAllSessions: (tx, userId) => revokeSessions(tx, { userId, which: isAnySession, reason: 'user_deleted' }),
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
