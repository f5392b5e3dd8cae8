import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Features } from '../features.ts';
import { metrics } from '../metrics.ts';
import { readBacklog, type OutboxBacklog } from '../outbox/outbox-repository.ts';

export interface ServiceMetricsOptions {
  readonly features: Pick<Features, 'sessions'>;
}

async function serviceMetrics(app: FastifyInstance, { features }: ServiceMetricsOptions): Promise<void> {
  const { outboxRelay, pool } = app;
  const { sessions } = features;
  // Two metrics of one scrape, one query.
  let reading: Promise<OutboxBacklog> | null = null;
  const readOnce = async (): Promise<OutboxBacklog> => {
    reading ??= readBacklog(pool).finally(() => {
      reading = null;
    });
    return reading;
  };
  app.metrics.read(metrics.outboxEvents, async () => (await readOnce()).count);
  app.metrics.read(metrics.outboxOldestAge, async () => (await readOnce()).oldestAgeSeconds);
  app.metrics.read(metrics.relayIsLeading, () => (outboxRelay.isLeading ? 1 : 0));
  app.metrics.read(metrics.outboxPublishes, () => Object.entries(outboxRelay.stats));
  app.metrics.read(metrics.refreshes, () => Object.entries(sessions.refreshStats));
  app.metrics.read(metrics.poolConnections, () => [
    ['idle', pool.idleCount],
    ['busy', pool.totalCount - pool.idleCount],
  ]);
  app.metrics.read(metrics.poolWaiting, () => pool.waitingCount);
}

/** What this service counts, as metrics: everything is kept by whoever does the work, and read at each scrape. */
export const serviceMetricsPlugin = fp(serviceMetrics, {
  name: 'service-metrics',
  fastify: '5.x',
  dependencies: ['metrics', 'database', 'outbox'],
});
