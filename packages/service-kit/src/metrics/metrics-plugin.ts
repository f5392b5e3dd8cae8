import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { commonMetrics } from './metric-definitions.ts';
import { MetricRegistry } from './metric-registry.ts';
import { registerProcessMetrics, watchEventLoop } from './process-metrics.ts';

declare module 'fastify' {
  interface FastifyInstance {
    metrics: MetricRegistry;
  }
  interface FastifyContextConfig {
    /** True for a route whose answer goes on for as long as the client listens: its duration says nothing. */
    isLongLived?: boolean;
  }
}

export interface MetricsOptions {
  readonly service: string;
  readonly version: string;
}

function measureRequests(app: FastifyInstance): void {
  const countRequest = app.metrics.counter(commonMetrics.httpRequests);
  const observeSeconds = app.metrics.histogram(commonMetrics.httpRequestSeconds);
  app.addHook('onResponse', (request, reply, done) => {
    // A connection that was upgraded has no answer.
    if (reply.raw.headersSent) {
      const { config, url: route = 'unmatched' } = request.routeOptions;
      countRequest(request.method, route, reply.statusCode);
      if (config.isLongLived !== true) observeSeconds(reply.elapsedTime / 1_000, request.method, route);
    }
    done();
  });
}

async function metricsEndpoint(app: FastifyInstance, { service, version }: MetricsOptions): Promise<void> {
  const metrics = new MetricRegistry((metric, error) => {
    countFailure(metric);
    app.log.debug({ err: error, metric }, 'a metric could not be read');
  });
  const countFailure = metrics.counter(commonMetrics.readFailures);
  app.decorate('metrics', metrics);
  metrics.read(commonMetrics.buildInfo, () => [[[service, version, process.version], 1]]);
  metrics.read(commonMetrics.ready, async () => {
    const failures = await app.checkReadiness();
    return [...failures].map(([check, failure]) => [check, failure === null ? 1 : 0] as const);
  });
  registerProcessMetrics(metrics);
  measureRequests(app);
  const stopWatching = watchEventLoop(metrics);
  app.addHook('onClose', async () => {
    stopWatching();
  });
  app.get('/metrics', { logLevel: 'silent' }, async (_request, reply) => {
    reply.header('cache-control', 'no-store').type(metrics.contentType);
    return metrics.render();
  });
}

/**
 * `GET /metrics` in Prometheus' text format, on the service's own port: what stands in front of the services routes a
 * list of prefixes, and this is not among them. `app.metrics` takes what the service adds. Register it before the
 * routes, because their requests are measured.
 */
export const metricsPlugin = fp(metricsEndpoint, { name: 'metrics', fastify: '5.x', dependencies: ['health'] });
