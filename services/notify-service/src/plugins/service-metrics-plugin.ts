import { commonMetrics } from '@infrasignal/service-kit';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { metrics as definitions } from '../metrics.ts';

function registerConnections({ gatewayStats, hub, metrics }: FastifyInstance): void {
  const { stats } = hub;
  metrics.read(definitions.connections, () => gatewayStats.connections);
  metrics.read(definitions.handshakes, () => gatewayStats.handshakes);
  metrics.read(definitions.tickets, () => gatewayStats.tickets);
  metrics.read(definitions.resumes, () => gatewayStats.joins);
  metrics.read(definitions.renewals, () => gatewayStats.renewals);
  metrics.read(definitions.closes, () => stats.closesByCode);
  metrics.read(definitions.inboundMessages, () => [
    ['valid', gatewayStats.inbound - gatewayStats.inboundInvalid],
    ['invalid', gatewayStats.inboundInvalid],
  ]);
  metrics.read(definitions.announcements, () => [
    ['sent', gatewayStats.announcementsSent],
    ['heard', gatewayStats.announcementsHeard],
    ['unreadable', gatewayStats.announcementsUnreadable],
  ]);
}

function registerDeliveries({ hub, metrics }: FastifyInstance): void {
  const { stats } = hub;
  metrics.read(definitions.deliveries, () => stats.delivered);
  metrics.read(definitions.replayedEvents, () => stats.replayed);
  metrics.read(definitions.repeatedDeliveries, () => stats.repeatedDeliveries);
  metrics.read(definitions.writes, () => stats.writes);
  metrics.read(definitions.coalescedFrames, () => stats.framesWritten - stats.writes);
  metrics.read(definitions.writtenBytes, () => stats.bytesWritten);
  metrics.read(definitions.queueBytes, () => Object.entries(hub.unsentBytes));
}

function registerReading({ broker, eventConsumer, hub, metrics, readStats, streamReader }: FastifyInstance): void {
  const { stats } = eventConsumer;
  metrics.read(commonMetrics.brokerConnected, () => Number(broker.connection !== null));
  metrics.read(definitions.consumerLag, async () => {
    const { lastSequence } = await streamReader.getState();
    // What came between the answer and now was read already.
    return Math.max(0, lastSequence - eventConsumer.readThrough);
  });
  metrics.read(definitions.eventsRead, () => stats.received);
  metrics.read(definitions.eventsUnknown, () => stats.unknownEvents);
  metrics.read(definitions.eventsInvalid, () => stats.invalidEvents);
  metrics.read(definitions.eventsRepeated, () => hub.stats.repeatedEvents);
  metrics.read(definitions.consumerEnds, () => stats.epochEnds);
  metrics.read(definitions.streamRecoveries, () => stats.recoveries);
  metrics.read(definitions.streamLosses, () => stats.losses);
  metrics.read(definitions.brokerReads, () => readStats.brokerReads);
  metrics.read(definitions.joins, () => [
    ['memory', readStats.joinsFromMemory],
    ['broker', readStats.joinsFromBroker],
  ]);
  metrics.read(definitions.mergedReads, () => readStats.merged);
  metrics.read(definitions.refusedReads, () => readStats.refused);
}

function registerPresence({ metrics, presenceKeeper, presenceStats, presentUsers }: FastifyInstance): void {
  metrics.read(definitions.presentUsers, () => presentUsers.size);
  metrics.read(definitions.presenceKeeper, () => Number(presenceKeeper.isKeeping));
  metrics.read(definitions.presenceChanges, () => presenceStats.announced);
  metrics.read(definitions.presenceTerms, () => presenceStats.keeperTerms);
  metrics.read(definitions.presenceLeases, () => [
    ['sent', presenceStats.leasesSent],
    ['unreadable', presenceStats.leasesUnreadable],
  ]);
  metrics.read(definitions.presenceDeliveries, () => presenceStats.delivered);
}

async function serviceMetrics(app: FastifyInstance): Promise<void> {
  registerConnections(app);
  registerDeliveries(app);
  registerReading(app);
  registerPresence(app);
}

/** What this service counts, as metrics: everything is kept by whoever does the work, and read at each scrape. */
export const serviceMetricsPlugin = fp(serviceMetrics, {
  name: 'service-metrics',
  fastify: '5.x',
  dependencies: ['metrics', 'realtime', 'presence', 'gateway'],
});
