import type { FastifyBaseLogger } from 'fastify';
import { AdmissionControl, type Applicant } from '../../src/gateway/admission.ts';
import { drain, planDrain } from '../../src/gateway/drain.ts';
import { createGatewayStats } from '../../src/gateway/gateway-stats.ts';
import { Joiner } from '../../src/gateway/joiner.ts';
import type { Listener } from '../../src/gateway/listener.ts';
import { toHubEvent } from '../../src/gateway/notification-event.ts';
import type { Carrier, ConnectionContext } from '../../src/gateway/open-connection.ts';
import { openConnection } from '../../src/gateway/open-connection.ts';
import { ReconnectTickets } from '../../src/gateway/reconnect-tickets.ts';
import { TokenRenewal } from '../../src/gateway/token-renewal.ts';
import type { Connection } from '../../src/hub/connection.ts';
import { Hub } from '../../src/hub/hub.ts';
import { TimingWheel } from '../../src/hub/timing-wheel.ts';
import { ConsumerEpoch, type BrokerConsumer, type EpochStart } from '../../src/relay/consumer-epoch.ts';
import { EventConsumer } from '../../src/relay/event-consumer.ts';
import { EventDecoder } from '../../src/relay/event-decoder.ts';
import { FeedResume } from '../../src/relay/feed-resume.ts';
import { OwnResume } from '../../src/relay/own-resume.ts';
import { createReadStats } from '../../src/relay/read-stats.ts';
import { RecentEvents } from '../../src/relay/recent-events.ts';
import { REVOCATION_LIFE_MS } from '../../src/relay/revocation-loader.ts';
import { SharedReader } from '../../src/relay/shared-reader.ts';
import { UserResume } from '../../src/relay/user-resume.ts';
import { BrokerLink, type ModelBroker } from './model-broker.ts';
import { EVERYBODY } from './model-outbox.ts';
import { verifyToken } from './sim-token.ts';
import { ProcessTimers } from './virtual-time.ts';

/** Small, so that a schedule of some dozen steps reaches them. */
export const LIMITS = {
  /** Events that one resume may bring. */
  resumeEventsMax: 12,
  /** Messages in a node's memory. */
  recentEventsMax: 10,
  /** Unread bytes of one socket. */
  queueBytesMax: 3_000,
};

const WHEEL_TICK_MS = 500;

const silence = (): void => undefined;
const log = { info: silence, warn: silence, error: silence, debug: silence } as unknown as FastifyBaseLogger;

/** Breaks a part of each node on purpose, from outside: what the checks must find. */
export interface Sabotage {
  /** Changes the parts of a node that is about to start. */
  readonly parts?: (parts: NodeParts) => void;
  /** Makes a consumer other than the one that is asked for. */
  readonly consumer?: (link: BrokerLink, start: EpochStart, filter: string | null) => Promise<BrokerConsumer>;
}

/** What a node is put together from. */
export interface NodeParts {
  readonly link: BrokerLink;
  readonly timers: ProcessTimers;
  readonly hub: Hub;
  readonly recent: RecentEvents;
  readonly feedResume: FeedResume;
}

/** One notify node: everything between the broker and its sockets is the real thing, put together as realtime-plugin does. */
export class SimNode {
  readonly link: BrokerLink;
  readonly hub: Hub;
  readonly consumer: EventConsumer;
  readonly #timers: ProcessTimers;
  readonly #context: ConnectionContext;
  isAlive = true;
  isDraining = false;

  constructor(broker: ModelBroker, clockCostMs: number, sabotage: Sabotage) {
    const timers = new ProcessTimers(broker.time, clockCostMs);
    const link = new BrokerLink(broker);
    const wheel = new TimingWheel({ tickMs: WHEEL_TICK_MS, slots: 128, nowMs: timers.now() });
    timers.every(WHEEL_TICK_MS, () => {
      wheel.advance(timers.now());
    });
    const limits = { eventsMax: LIMITS.resumeEventsMax, bytesMax: 1_048_576 };
    const hub = new Hub({
      clock: timers,
      schedule: timers.soon,
      wheel,
      pingIntervalMs: 10_000,
      pongTimeoutMs: 4_000,
      queueBytesMax: LIMITS.queueBytesMax,
      expiryWarningMs: 5_000,
      broadcastLimits: limits,
      revocationLifeMs: REVOCATION_LIFE_MS,
    });
    const decoder = new EventDecoder(toHubEvent);
    const recent = new RecentEvents({
      eventsMax: LIMITS.recentEventsMax,
      bytesMax: 1_048_576,
      ageMsMax: 7 * 86_400_000,
      now: timers.timeOfDay,
    });
    const createConsumer = sabotage.consumer ?? ((_link, start, filter) => link.createConsumer(start, filter));
    const consumer = new EventConsumer({
      broker: link,
      reader: link,
      openEpoch: async (_connection, start, filter) => new ConsumerEpoch(await createConsumer(link, start, filter), timers),
      decoder,
      hub,
      recent,
      timers,
      log,
    });
    const reader = new SharedReader({ reader: link, decoder, recent, stats: createReadStats(), clock: timers });
    const resumeLimits = { ...limits, durationMsMax: 10_000 };
    const ownResume = new OwnResume({ reader, hub, limits: resumeLimits, clock: timers });
    const userResume = new UserResume({ ownResume, reader, hub });
    const feedResume = new FeedResume({ reader, limits: resumeLimits, clock: timers });
    const stats = createGatewayStats();
    const tickets = new ReconnectTickets(['one key for all nodes, as long as it has to be']);
    this.#timers = timers;
    this.link = link;
    this.hub = hub;
    this.consumer = consumer;
    this.#context = {
      hub,
      stats,
      tickets,
      timers,
      log,
      joiner: new Joiner({ consumer, userResume, feedResume, pingIntervalMs: 10_000 }),
      admission: new AdmissionControl({
        accessTokens: { verify: (token) => verifyToken(token, timers.timeOfDay()) },
        keys: { isLoaded: true, find: async () => 'a key' },
        tickets,
        stats,
        consumer,
        hub,
        timers,
        allowedOrigins: [],
        hasPublicFeed: false,
      }),
      // How many sockets there may be, and who is online, is none of what is simulated here.
      gate: { enter: () => silence },
      userSockets: { opened: () => null, closed: silence },
      presence: { opened: silence, gone: silence },
    } as unknown as ConnectionContext;
    sabotage.parts?.({ link, timers, hub, recent, feedResume });
    consumer.start();
  }

  get isReady(): boolean {
    return this.isAlive && !this.isDraining && this.consumer.isReady;
  }

  /** Of each of these the newest `seq` that it has behind it; absent while unknown. */
  standing(userIds: readonly number[]): ReadonlyMap<number, number> {
    const newestOf = (userId: number): number =>
      (userId === EVERYBODY ? this.hub.broadcasts.newestSeq : this.hub.newest.find(userId)?.seq) ?? 0;
    return new Map(userIds.map((userId) => [userId, newestOf(userId)] as const).filter(([, seq]) => seq > 0));
  }

  admit(applicant: Pick<Applicant, 'token' | 'ticket' | 'hasControlFrames'>): Promise<Listener> {
    return this.#context.admission.admit({ ...applicant, address: '192.0.2.1', origin: undefined });
  }

  open(carrier: Carrier, listener: Listener, after: string | null): Connection {
    return openConnection(this.#context, carrier, listener, after);
  }

  /** What answers a connection that brings a fresh token. */
  createRenewal(connection: Connection, listener: Listener): TokenRenewal {
    return new TokenRenewal(this.#context, connection, listener);
  }

  /** Takes nobody in any more and sends everybody away; ends when all are gone. */
  async drain(): Promise<void> {
    this.isDraining = true;
    this.#context.admission.close();
    await drain(this.hub, planDrain(this.hub.size, 5_000, 10), this.#timers);
    this.crash();
  }

  /** Nothing of it happens any more. */
  crash(): void {
    this.isAlive = false;
    this.#timers.kill();
    this.link.close();
  }
}
