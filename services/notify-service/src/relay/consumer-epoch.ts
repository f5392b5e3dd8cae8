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
import { SlicedQueue } from './sliced-queue.ts';
import type { StreamMessage } from './stream-message.ts';

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

const clock = { now: (): number => performance.now() };
const schedule = (task: () => void): unknown => setImmediate(task);

/** Why a consumer was given up: a short, stable word for counters and logs. */
export type EpochEnd =
  | 'disconnected'
  | 'heartbeats_missed'
  | 'consumer_gone'
  | 'delivery_gap'
  | 'behind'
  | 'stream_changed'
  | 'stopped';

export type EpochStart = { readonly fromSequence: number } | { readonly fromTimeMs: number | null };

function deliverFrom(start: EpochStart): Partial<ConsumerConfig> {
  if ('fromSequence' in start) {
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start.fromSequence };
  }
  if (start.fromTimeMs === null) return { deliver_policy: DeliverPolicy.All };
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(start.fromTimeMs).toISOString() };
}

/** What the library reports and then tries to live with. */
const DOUBTS: Readonly<Partial<Record<ConsumerNotification['type'], EpochEnd>>> = {
  heartbeats_missed: 'heartbeats_missed',
  consumer_not_found: 'consumer_gone',
  consumer_deleted: 'consumer_gone',
  stream_not_found: 'consumer_gone',
  no_responders: 'consumer_gone',
  exceeded_limits: 'consumer_gone',
};

/**
 * One consumer of ours on the broker, from its creation to the first doubt. It never heals itself: a consumer that
 * restarts inside the library does so by position alone, and after a rollback that skips events in silence. Here
 * every doubt ends the epoch, and whoever opened it decides where the next one starts.
 */
export class ConsumerEpoch {
  /** Resolves when nothing more is delivered. */
  readonly ended: Promise<EpochEnd>;
  /** The position after which delivery starts. */
  readonly startsAfter: number;
  /** Messages that were already there to be delivered. */
  readonly pendingAtStart: number;
  readonly #client: JetStreamClient;
  readonly #info: ConsumerInfo;
  #messages: ConsumerMessages | null = null;
  #queue: SlicedQueue<StreamMessage> | null = null;
  #resolveEnded: (end: EpochEnd) => void = () => undefined;
  #isOver = false;
  #deliveries = 0;
  #lastSequence: number;

  private constructor(client: JetStreamClient, info: ConsumerInfo) {
    this.#client = client;
    this.#info = info;
    this.startsAfter = info.delivered.stream_seq;
    this.pendingAtStart = info.num_pending;
    this.#lastSequence = this.startsAfter;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /**
   * Creates a consumer on the broker, not yet reading.
   *
   * @param filter only these subjects. Without it a jump in positions is a loss for certain, because the stream holds
   * nothing but user events; so the reading that must miss nothing has none.
   * @throws whatever the broker answers: no such stream, no answer in time.
   */
  static async open(connection: NatsConnection, start: EpochStart, filter?: string): Promise<ConsumerEpoch> {
    const client = jetstream(connection, { timeout: REQUEST_TIMEOUT_MS });
    const manager = await client.jetstreamManager(false);
    const info = await manager.consumers.add(EVENTS_STREAM_NAME, {
      ack_policy: AckPolicy.None,
      mem_storage: true,
      inactive_threshold: INACTIVE_THRESHOLD_MS * NANOSECONDS_PER_MS,
      ...(filter === undefined ? {} : { filter_subject: filter }),
      ...deliverFrom(start),
    });
    return new ConsumerEpoch(client, info);
  }

  /** Starts reading: messages come in stream order, each once. */
  async read(onMessage: (message: StreamMessage) => void): Promise<void> {
    if (this.#isOver) return;
    const queue = new SlicedQueue(clock, schedule, onMessage);
    this.#queue = queue;
    this.#messages = await this.#client.consumers.getConsumerFromInfo(this.#info).consume({
      max_messages: PULL_MESSAGES_MAX,
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: PULL_HEARTBEAT_MS,
      callback: (message) => {
        this.#receive(message, queue);
      },
    });
    void this.#watch(this.#messages);
  }

  /** Ends the epoch; the first reason counts. */
  end(reason: EpochEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#messages?.stop();
    // It was not read: the next epoch begins with it.
    this.#queue?.clear();
    // Best effort: on a broken connection it fails, and the broker forgets an idle consumer by itself.
    if (reason !== 'disconnected') this.#deleteConsumer().catch(() => undefined);
    this.#resolveEnded(reason);
  }

  async #deleteConsumer(): Promise<void> {
    const manager = await this.#client.jetstreamManager(false);
    await manager.consumers.delete(EVENTS_STREAM_NAME, this.#info.name);
  }

  #receive(message: JsMsg, queue: SlicedQueue<StreamMessage>): void {
    if (this.#isOver) return;
    const { deliverySequence, streamSequence, timestampNanos } = message.info;
    this.#deliveries += 1;
    if (deliverySequence !== this.#deliveries || streamSequence <= this.#lastSequence) {
      this.end('delivery_gap');
      return;
    }
    this.#lastSequence = streamSequence;
    queue.add({
      subject: message.subject,
      data: message.data,
      sequence: streamSequence,
      storedAtMs: Math.floor(timestampNanos / NANOSECONDS_PER_MS),
    });
  }

  async #watch(messages: ConsumerMessages): Promise<void> {
    for await (const notification of messages.status()) {
      const reason = DOUBTS[notification.type];
      if (reason !== undefined) this.end(reason);
    }
    this.end('consumer_gone');
  }
}
