import {
  connectionLimits,
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
  type ConnectionLimits,
} from '@infrasignal/service-kit';
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { createRequire } from 'node:module';
import { asyncapiPlugin } from './asyncapi/asyncapi-plugin.ts';
import type { Config } from './config.ts';
import { gatewayPlugin } from './gateway/gateway-plugin.ts';
import { ssePlugin } from './gateway/sse-plugin.ts';
import { historyPlugin } from './history/history-plugin.ts';
import { accessTokensPlugin } from './plugins/access-tokens-plugin.ts';
import { realtimePlugin } from './plugins/realtime-plugin.ts';
import { serviceMetricsPlugin } from './plugins/service-metrics-plugin.ts';
import { presencePlugin } from './presence/presence-plugin.ts';
import { presenceRoutePlugin } from './presence/presence-routes.ts';

// Not imported: it stands beside what is compiled, not in it.
const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/**
 * Connections beside the sockets that are allowed: handshakes that are refused with a reason, probes, scrapes. Fewer,
 * and a full node closes connections without a word; more only moves the end.
 */
const CONNECTIONS_BESIDE_SOCKETS = 2_000;

/** Event streams are quiet between two pings. */
function limitsFor({ pingIntervalSeconds }: Config): ConnectionLimits {
  return { ...connectionLimits, silenceMs: Math.max(connectionLimits.silenceMs, 2 * pingIntervalSeconds * 1_000) };
}

/** Everything that notify-service consists of, in the order in which it starts. */
export async function buildApp(config: Config, options: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const service = 'notify-service';
  const tracer = await createTracer(config, { service, version });
  const app = fastify({
    ...loggingOptions(service, config.logLevel),
    ...tracedLog(tracer),
    ...serverOptions(limitsFor(config)),
    trustProxy: trustHops(config.trustProxyHops),
    // The inherited paths end with a slash, and are asked for both ways. Longer parameters than the head of a request
    // can hold do not exist: what is too long for a route is refused by its schema, as a problem like any other.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: connectionLimits.headBytes },
    ...options,
  });
  await app.register(tracingPlugin, { tracer });
  await app.register(connectionLimitsPlugin, { connectionsMax: config.socketsMax + CONNECTIONS_BESIDE_SOCKETS });
  await app.register(errorHandlerPlugin);
  await app.register(securityHeadersPlugin, { isDebug: config.isDebug });
  await app.register(jsonBodyPlugin);
  await app.register(healthPlugin);
  await app.register(metricsPlugin, { service, version });
  await app.register(gracefulClosePlugin);
  await app.register(asyncapiPlugin, { version });
  await app.register(realtimePlugin, { config, tracer });
  await app.register(accessTokensPlugin, { config });
  await app.register(presencePlugin, { config });
  await app.register(gatewayPlugin, { config });
  await app.register(ssePlugin);
  await app.register(historyPlugin);
  await app.register(presenceRoutePlugin);
  await app.register(serviceMetricsPlugin);
  return app;
}
