import cors from '@fastify/cors';
import {
  connectionLimitsPlugin,
  createTracer,
  errorHandlerPlugin,
  gracefulClosePlugin,
  healthPlugin,
  jsonBodyPlugin,
  loggingOptions,
  metricsPlugin,
  securityHeadersPlugin,
  serverOptions,
  tracedLog,
  tracingPlugin,
  trustHops,
} from '@infrasignal/service-kit';
import Fastify, { type FastifyInstance } from 'fastify';
import { createRequire } from 'node:module';
import type { AuthConfig } from './config.ts';
import { createFeatures, hashConcurrencyOf, secretKeysOf } from './features.ts';
import { accountsRoutes, meRoutes } from './features/accounts/index.ts';
import { keysRoutes } from './features/keys/index.ts';
import { notificationsRoutes } from './features/notifications/index.ts';
import { passwordErrors, passwordFieldErrors, passwordsRoutes } from './features/passwords/index.ts';
import { serviceClientsRoutes } from './features/service-clients/index.ts';
import { sessionsRoutes } from './features/sessions/index.ts';
import { accessGuardPlugin } from './plugins/access-guard-plugin.ts';
import { allowedHostsPlugin } from './plugins/allowed-hosts-plugin.ts';
import { brokerPlugin } from './plugins/broker-plugin.ts';
import { toUnavailableProblem } from './plugins/database-errors.ts';
import { browserSessionPlugin } from './plugins/browser-session-plugin.ts';
import { databasePlugin } from './plugins/database-plugin.ts';
import { hashQueuePlugin } from './plugins/hash-queue-plugin.ts';
import { knownDevicesPlugin } from './plugins/known-devices-plugin.ts';
import { openapiPlugin } from './plugins/openapi-plugin.ts';
import { outboxPlugin } from './plugins/outbox-plugin.ts';
import { serviceMetricsPlugin } from './plugins/service-metrics-plugin.ts';

// Not imported: it stands beside what is compiled, not in it.
const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** 16 KiB: the largest body there is, a registration, is under 2 KiB. */
const BODY_BYTES_MAX = 16 * 1024;

/**
 * The router answers a longer part of a path by itself, without headers and not as problem+json. Node reads at most
 * 16 KiB of request line and headers, so that it never does: every parameter meets its route's schema.
 */
const PARAMETER_LENGTH_MAX = 16 * 1024;

/** How long a browser may remember a preflight: a change of the list shows within ten minutes. */
const CORS_MAX_AGE_SECONDS = 600;

/**
 * Open connections; a further one is closed before it is read. Smaller lets a few hundred idle ones shut everybody out;
 * each costs a descriptor and up to 20 KiB, so that ten times as many could take a container's memory.
 */
const CONNECTIONS_MAX = 10_000;

/** Everything that auth-service is made of, in order. The database must be migrated (`migrateDatabase`). */
export async function buildApp(config: AuthConfig): Promise<FastifyInstance> {
  const service = 'auth-service';
  const tracer = await createTracer(config, { service, version });
  const app = Fastify({
    ...loggingOptions(service, config.logLevel),
    ...tracedLog(tracer),
    ...serverOptions(),
    bodyLimit: BODY_BYTES_MAX,
    trustProxy: trustHops(config.trustProxyHops),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_LENGTH_MAX },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: true } },
  });

  await app.register(tracingPlugin, { tracer });
  await app.register(connectionLimitsPlugin, { connectionsMax: CONNECTIONS_MAX });
  await app.register(errorHandlerPlugin, { translate: toUnavailableProblem });
  await app.register(securityHeadersPlugin, { isDebug: config.isDebug });
  await app.register(healthPlugin);
  await app.register(metricsPlugin, { service, version });
  await app.register(gracefulClosePlugin);
  await app.register(allowedHostsPlugin, { allowedHosts: config.allowedHosts });
  await app.register(jsonBodyPlugin);
  app.addHook('onRequest', (request, reply, done) => {
    const { origin, 'access-control-request-method': wanted } = request.headers;
    // An OPTIONS that is no preflight is a method like any other: 405, not the next plugin's own kind of 400.
    if (request.method === 'OPTIONS' && (origin === undefined || wanted === undefined)) reply.callNotFound();
    else done();
  });
  await app.register(cors, {
    // An origin that is not listed is told nothing; one that is, is told by name, never `*`.
    origin: [...config.allowedOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'x-csrf-token', 'x-device-token', 'idempotency-key', 'traceparent'],
    exposedHeaders: ['retry-after'],
    maxAge: CORS_MAX_AGE_SECONDS,
  });
  await app.register(openapiPlugin, { isDebug: config.isDebug, version });
  await app.register(databasePlugin, {
    databaseUrl: config.databaseUrl,
    poolMax: config.databasePoolMax,
    waitingMax: config.databaseWaitingMax,
    connectMsMax: config.databaseConnectMsMax,
    statementMsMax: config.databaseStatementMsMax,
  });
  await app.register(brokerPlugin, { natsUrl: config.natsUrl, brokerAccess: config });
  await app.register(outboxPlugin, {
    databaseUrl: config.databaseUrl,
    natsUrl: config.natsUrl,
    brokerAccess: config,
    streamReplicas: config.streamReplicas,
    duplicateWindowSeconds: config.duplicateWindowSeconds,
    leaderTimeoutSeconds: config.relayLeaderTimeoutSeconds,
    tracer,
  });
  try {
    await registerFeatures(app, config);
  } catch (error) {
    // Whoever asked for the app never gets it, so nobody else could close what it opened.
    await app.close();
    throw error;
  }
  return app;
}

async function registerFeatures(app: FastifyInstance, config: AuthConfig): Promise<void> {
  const features = await createFeatures(config, {
    db: app.db,
    announceEvent: () => app.announceEvent(),
    broker: app.broker,
    log: app.log,
    onError: (error) => app.log.warn({ err: error }, 'background work failed, trying again'),
  });
  const { clock, hashQueue, keyRing, loginAttempts, passwordKinds, securityLog, sessions, sessionOpener } = features;
  await app.register(hashQueuePlugin, { hashQueue });
  const { wanted, possible } = hashConcurrencyOf(config);
  if (possible < wanted) app.log.warn({ wanted, possible }, 'UV_THREADPOOL_SIZE is too small for so many hashes at once');
  await app.register(serviceMetricsPlugin, { features });
  for (const work of [clock, keyRing, loginAttempts, passwordKinds, securityLog]) {
    app.addHook('onReady', async () => work.start());
    app.addHook('onClose', async () => work.stop());
  }

  await app.register(browserSessionPlugin, {
    secretKeys: secretKeysOf(config),
    allowedOrigins: config.allowedOrigins,
    isDebug: config.isDebug,
  });
  await app.register(knownDevicesPlugin, { secretKeys: secretKeysOf(config), isDebug: config.isDebug });
  await app.register(accessGuardPlugin, { findHolder: (token) => sessions.findHolder(token) });
  await app.register(keysRoutes(keyRing, clock.now));
  await app.register(
    accountsRoutes(
      features.accounts,
      ({ headers, ip, traceparent }) => sessionOpener.open({ userAgent: headers['user-agent'], address: ip, traceparent }),
      Object.values(passwordFieldErrors),
    ),
  );
  await app.register(meRoutes(features.accounts, Object.values(passwordErrors)));
  await app.register(passwordsRoutes(features.passwords));
  await app.register(sessionsRoutes(sessions));
  await app.register(serviceClientsRoutes(features.serviceClients));
  await app.register(notificationsRoutes(features.notifications));
}
