import { Broker, parseTraceparent, type MetricRegistry, type Tracer } from '@infrasignal/service-kit';
import { EVENT_RETENTION_SECONDS } from '@infrasignal/shared';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Config } from '../config.ts';
import { toHubEvent } from '../gateway/notification-event.ts';
import { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import type { HubEvent, HubTimings } from '../hub/ports.ts';
import { TimingWheel } from '../hub/timing-wheel.ts';
import { systemTimers as timers } from '../lib/timers.ts';
import { metrics } from '../metrics.ts';
import { createBrokerConsumer } from '../relay/broker-consumer.ts';
import { ConsumerEpoch } from '../relay/consumer-epoch.ts';
import { EventConsumer } from '../relay/event-consumer.ts';
import { EventDecoder } from '../relay/event-decoder.ts';
import { FeedResume } from '../relay/feed-resume.ts';
import { OwnResume } from '../relay/own-resume.ts';
import { createReadStats, type ReadStats } from '../relay/read-stats.ts';
import { RecentEvents } from '../relay/recent-events.ts';
import { REVOCATION_LIFE_MS } from '../relay/revocation-loader.ts';
import { SharedReader } from '../relay/shared-reader.ts';
import { StreamReader } from '../relay/stream-reader.ts';
import { UserResume } from '../relay/user-resume.ts';

/** A quarter of a second is finer than any timer of a socket needs, and 512 slots hold two minutes without wrapping. */
const WHEEL_TICK_MS = 250;
const WHEEL_SLOTS = 512;

/** Time for a client to fetch a fresh token, also on a poor network; longer would outlast short-lived tokens. */
const EXPIRY_WARNING_MS = 30_000;

/** 1 MiB of stored events: about 2,500 of them, more than a resume may bring by number unless they are large. */
const RESUME_BYTES_MAX = 1_048_576;

/** A thousand reads take 0.3 s; a resume that takes this long is kept up by a broker in trouble. */
const RESUME_DURATION_MS_MAX = 10_000;

/** 16 MiB of stored events, some 40,000 of the usual size, which take about three times as much memory. */
const RECENT_BYTES_MAX = 16_777_216;

declare module 'fastify' {
  interface FastifyInstance {
    broker: Broker;
    hub: Hub;
    eventConsumer: EventConsumer;
    sharedReader: SharedReader;
    streamReader: StreamReader;
    readStats: ReadStats;
    ownResume: OwnResume;
    userResume: UserResume;
    feedResume: FeedResume;
  }
}

/** From the commit to now. The database's clock may be ahead of ours: less than nothing is nothing. */
function secondsSince({ committedAtMs }: HubEvent): number {
  return Math.max(0, timers.timeOfDay() - committedAtMs) / 1_000;
}

/** A span for what was delivered from here; of the events that nobody here is told of there are far more. */
function recordDelivery(tracer: Tracer, { traceparent, position, seq }: HubEvent, lagSeconds: number): void {
  tracer.start('consumer', parseTraceparent(traceparent)).end('deliver', {
    isFailed: false,
    attributes: {
      'messaging.system': 'nats',
      'messaging.message.id': position.eventId,
      'infrasignal.seq': seq,
      'infrasignal.lag_seconds': lagSeconds,
    },
  });
}

function createTimings(registry: MetricRegistry, tracer: Tracer): HubTimings {
  const observeLag = registry.histogram(metrics.eventLagSeconds);
  const observeRevocation = registry.histogram(metrics.revocationSeconds);
  return {
    written: (event) => {
      const lagSeconds = secondsSince(event);
      observeLag(lagSeconds);
      if (tracer.isExporting) recordDelivery(tracer, event, lagSeconds);
    },
    revoked: (event) => {
      observeRevocation(secondsSince(event));
    },
  };
}

function createHub(config: Config, timings: HubTimings): { hub: Hub; stop: () => void } {
  const wheel = new TimingWheel({ tickMs: WHEEL_TICK_MS, slots: WHEEL_SLOTS, nowMs: timers.now() });
  const stop = timers.every(WHEEL_TICK_MS, () => {
    wheel.advance(timers.now());
  });
  const hub = new Hub({
    clock: timers,
    // After everything that has arrived was looked at: what is due to one socket then goes out in one write.
    schedule: timers.soon,
    wheel,
    pingIntervalMs: config.pingIntervalSeconds * 1_000,
    pongTimeoutMs: config.pongTimeoutSeconds * 1_000,
    queueBytesMax: config.socketQueueBytesMax,
    expiryWarningMs: EXPIRY_WARNING_MS,
    broadcastLimits: { eventsMax: config.resumeEventsMax, bytesMax: RESUME_BYTES_MAX },
    revocationLifeMs: REVOCATION_LIFE_MS,
    timings,
  });
  return { hub, stop };
}

interface RealtimeOptions {
  readonly config: Config;
  readonly tracer: Tracer;
}

async function realtime(app: FastifyInstance, { config, tracer }: RealtimeOptions): Promise<void> {
  const { log } = app;
  const { hub, stop } = createHub(config, createTimings(app.metrics, tracer));
  const broker = new Broker({ url: config.natsUrl, access: config, name: 'notify-service', log });
  const readStats = createReadStats();
  const reader = new StreamReader(broker, (read) => {
    increment(readStats.brokerReads, read);
  });
  const decoder = new EventDecoder(toHubEvent);
  const recent = new RecentEvents({
    eventsMax: config.recentEventsMax,
    bytesMax: RECENT_BYTES_MAX,
    ageMsMax: EVENT_RETENTION_SECONDS * 1_000,
    now: timers.timeOfDay,
  });
  const consumer = new EventConsumer({
    broker,
    reader,
    openEpoch: async (connection, start, filter) =>
      new ConsumerEpoch(await createBrokerConsumer(connection, start, filter), timers),
    decoder,
    hub,
    recent,
    timers,
    log,
  });
  const sharedReader = new SharedReader({ reader, decoder, recent, stats: readStats, clock: timers });
  const limits = {
    eventsMax: config.resumeEventsMax,
    bytesMax: RESUME_BYTES_MAX,
    durationMsMax: RESUME_DURATION_MS_MAX,
  };
  app.decorate('broker', broker);
  app.decorate('hub', hub);
  app.decorate('eventConsumer', consumer);
  app.decorate('sharedReader', sharedReader);
  app.decorate('streamReader', reader);
  app.decorate('readStats', readStats);
  const ownResume = new OwnResume({ reader: sharedReader, hub, limits, clock: timers });
  app.decorate('ownResume', ownResume);
  app.decorate('userResume', new UserResume({ ownResume, reader: sharedReader, hub }));
  app.decorate('feedResume', new FeedResume({ reader: sharedReader, limits, clock: timers }));
  // A node that does not see new events must get no new sockets; those it has are kept, for it will see them again.
  app.addReadinessCheck('events', () => (consumer.isReady ? null : 'no live consumer of the event stream'));
  app.addHook('onReady', async () => {
    consumer.start();
  });
  app.addHook('onClose', async () => {
    await consumer.stop();
    await broker.close();
    stop();
  });
}

/** The way of an event through this node: broker → consumer → hub. */
export const realtimePlugin = fp(realtime, { name: 'realtime', fastify: '5.x', dependencies: ['health', 'metrics'] });
