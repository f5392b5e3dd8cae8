import { commonMetrics } from '@infrasignal/service-kit';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Features } from '../features.ts';
import type { HashQueue } from '../lib/hash-queue.ts';
import { metrics as definitions } from '../metrics.ts';
import { readBacklog, type OutboxBacklog } from '../outbox/outbox-repository.ts';

export interface ServiceMetricsOptions {
  readonly features: Pick<Features, 'breaches' | 'hashQueue' | 'loginAttempts' | 'securityLog' | 'sessions'>;
}

function registerOutbox({ metrics, outboxRelay, backgroundPool }: FastifyInstance): void {
  // Two metrics of one scrape, one query.
  let reading: Promise<OutboxBacklog> | null = null;
  const readOnce = async (): Promise<OutboxBacklog> => {
    reading ??= readBacklog(backgroundPool).finally(() => {
      reading = null;
    });
    return reading;
  };
  metrics.read(definitions.outboxEvents, async () => (await readOnce()).count);
  metrics.read(definitions.outboxOldestAge, async () => (await readOnce()).oldestAgeSeconds);
  metrics.read(definitions.relayIsLeading, () => (outboxRelay.isLeading ? 1 : 0));
  metrics.read(definitions.outboxPublishes, () => Object.entries(outboxRelay.stats));
}

function registerHashes({ metrics }: FastifyInstance, hashQueue: HashQueue): void {
  metrics.read(definitions.hashesWaiting, () => hashQueue.stats.waiting);
  metrics.read(definitions.hashesRunning, () => hashQueue.stats.running);
  metrics.read(definitions.hashPlaces, () => hashQueue.stats.places);
  metrics.read(definitions.hashes, () => {
    const { computed, refused, expired, abandoned } = hashQueue.stats;
    return Object.entries({ computed, refused, expired, abandoned });
  });
  hashQueue.onWaited = metrics.histogram(definitions.hashWaitSeconds);
}

async function serviceMetrics(app: FastifyInstance, { features }: ServiceMetricsOptions): Promise<void> {
  const { metrics, pool } = app;
  const { breaches, hashQueue, loginAttempts, securityLog, sessions } = features;
  metrics.read(commonMetrics.brokerConnected, () => Number(app.broker.connection !== null));
  registerOutbox(app);
  registerHashes(app, hashQueue);
  metrics.read(definitions.logins, () => Object.entries(loginAttempts.stats));
  metrics.read(definitions.securitySigns, () => Object.entries(securityLog.stats));
  metrics.read(definitions.refreshes, () => Object.entries(sessions.refreshStats));
  metrics.read(definitions.breachChecks, () => Object.entries(breaches?.stats ?? {}));
  metrics.read(definitions.poolConnections, () => [
    ['idle', pool.idleCount],
    ['busy', pool.totalCount - pool.idleCount],
  ]);
  metrics.read(definitions.poolWaiting, () => pool.waitingCount);
}

/** What this service counts, as metrics: everything is kept by whoever does the work, and read at each scrape. */
export const serviceMetricsPlugin = fp(serviceMetrics, {
  name: 'service-metrics',
  fastify: '5.x',
  dependencies: ['metrics', 'database', 'broker', 'outbox'],
});
