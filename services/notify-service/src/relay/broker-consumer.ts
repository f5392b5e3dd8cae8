import { EVENTS_STREAM_NAME } from '@infrasignal/shared';
import {
  AckPolicy,
  DeliverPolicy,
  jetstream,
  type ConsumerConfig,
  type ConsumerInfo,
  type ConsumerMessages,
  type ConsumerNotification,
  type JetStreamClient,
  type JsMsg,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { BrokerConsumer, Delivery, EpochEnd, EpochStart } from './consumer-epoch.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/** The broker forgets a consumer that nobody pulls from after this long: what a killed node leaves behind. */
const INACTIVE_THRESHOLD_MS = 30_000;

/**
 * A pull request lives one second and is answered by a heartbeat every half second. With the library's defaults
 * (30 s) a consumer stood still for up to 45 s after eight quick restarts of the broker.
 */
const PULL_EXPIRES_MS = 1_000;
const PULL_HEARTBEAT_MS = 500;

/** Messages asked for ahead: enough to keep the connection full at 50,000 a second, half a megabyte of memory. */
const PULL_MESSAGES_MAX = 1_000;

const REQUEST_TIMEOUT_MS = 2_000;

/** What the library reports and then tries to live with. */
const DOUBTS: Readonly<Partial<Record<ConsumerNotification['type'], EpochEnd>>> = {
  heartbeats_missed: 'heartbeats_missed',
  consumer_not_found: 'consumer_gone',
  consumer_deleted: 'consumer_gone',
  stream_not_found: 'consumer_gone',
  no_responders: 'consumer_gone',
  exceeded_limits: 'consumer_gone',
};

function deliverFrom(start: EpochStart): Partial<ConsumerConfig> {
  if ('fromSequence' in start) {
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start.fromSequence };
  }
  if (start.fromTimeMs === null) return { deliver_policy: DeliverPolicy.All };
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(start.fromTimeMs).toISOString() };
}

function toDelivery({ data, info, subject }: JsMsg): Delivery {
  const storedAtMs = Math.floor(info.timestampNanos / NANOSECONDS_PER_MS);
  return {
    deliverySequence: info.deliverySequence,
    message: { subject, data, sequence: info.streamSequence, storedAtMs },
  };
}

/**
 * Creates a consumer on the broker, not yet reading.
 *
 * @param filter only these subjects; null for all
 * @throws whatever the broker answers: no such stream, no answer in time.
 */
export async function createBrokerConsumer(
  connection: NatsConnection,
  start: EpochStart,
  filter: string | null,
): Promise<BrokerConsumer> {
  const client = jetstream(connection, { timeout: REQUEST_TIMEOUT_MS });
  const manager = await client.jetstreamManager(false);
  const info = await manager.consumers.add(EVENTS_STREAM_NAME, {
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: INACTIVE_THRESHOLD_MS * NANOSECONDS_PER_MS,
    ...(filter === null ? {} : { filter_subject: filter }),
    ...deliverFrom(start),
  });
  return new JetStreamConsumer(client, info);
}

class JetStreamConsumer implements BrokerConsumer {
  readonly startsAfter: number;
  readonly pendingAtStart: number;
  readonly #client: JetStreamClient;
  readonly #info: ConsumerInfo;
  #messages: ConsumerMessages | null = null;

  constructor(client: JetStreamClient, info: ConsumerInfo) {
    this.#client = client;
    this.#info = info;
    this.startsAfter = info.delivered.stream_seq;
    this.pendingAtStart = info.num_pending;
  }

  async read(onDelivery: (delivery: Delivery) => void, onDoubt: (reason: EpochEnd) => void): Promise<void> {
    this.#messages = await this.#client.consumers.getConsumerFromInfo(this.#info).consume({
      max_messages: PULL_MESSAGES_MAX,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: PULL_HEARTBEAT_MS,
      callback: (message) => {
        onDelivery(toDelivery(message));
      },
    });
    void this.#watch(this.#messages, onDoubt);
  }

  stop(): void {
    this.#messages?.stop();
  }

  async delete(): Promise<void> {
    const manager = await this.#client.jetstreamManager(false);
    await manager.consumers.delete(EVENTS_STREAM_NAME, this.#info.name);
  }

  async #watch(messages: ConsumerMessages, onDoubt: (reason: EpochEnd) => void): Promise<void> {
    for await (const notification of messages.status()) {
      const reason = DOUBTS[notification.type];
      if (reason !== undefined) onDoubt(reason);
    }
    onDoubt('consumer_gone');
  }
}
