import type { Timers } from '../lib/timers.ts';
import { SlicedQueue } from './sliced-queue.ts';
import type { StreamMessage } from './stream-message.ts';

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

/** A message, and how many this consumer has delivered with it. */
export interface Delivery {
  readonly message: StreamMessage;
  readonly deliverySequence: number;
}

/** A consumer as the broker keeps it, for as long as nothing goes wrong. */
export interface BrokerConsumer {
  /** The position after which delivery starts. */
  readonly startsAfter: number;
  /** Messages that were already there to be delivered. */
  readonly pendingAtStart: number;
  /** Starts the delivery. @param onDoubt told when messages may be missing, or none will come any more */
  read(onDelivery: (delivery: Delivery) => void, onDoubt: (reason: EpochEnd) => void): Promise<void>;
  /** Nothing more is asked for. */
  stop(): void;
  /** The broker forgets it. */
  delete(): Promise<void>;
}

/**
 * Opens an epoch, not yet reading.
 *
 * @param filter only these subjects; null for all. Without it a jump in positions is a loss for certain, because the
 * stream holds nothing but user events; so the reading that must miss nothing has none.
 * @throws whatever the broker answers: no such stream, no answer in time.
 */
export type OpenEpoch = (start: EpochStart, filter: string | null) => Promise<ConsumerEpoch>;

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
  readonly #consumer: BrokerConsumer;
  readonly #timers: Timers;
  #queue: SlicedQueue<StreamMessage> | null = null;
  #resolveEnded: (end: EpochEnd) => void = () => undefined;
  #isOver = false;
  #deliveries = 0;
  #lastSequence: number;

  constructor(consumer: BrokerConsumer, timers: Timers) {
    this.#consumer = consumer;
    this.#timers = timers;
    this.startsAfter = consumer.startsAfter;
    this.pendingAtStart = consumer.pendingAtStart;
    this.#lastSequence = this.startsAfter;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** Starts reading: messages come in stream order, each once. */
  async read(onMessage: (message: StreamMessage) => void): Promise<void> {
    if (this.#isOver) return;
    const { soon } = this.#timers;
    const queue = new SlicedQueue(this.#timers, soon, onMessage);
    this.#queue = queue;
    await this.#consumer.read(
      (delivery) => {
        this.#receive(delivery, queue);
      },
      (reason) => {
        this.end(reason);
      },
    );
  }

  /** Ends the epoch; the first reason counts. */
  end(reason: EpochEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#consumer.stop();
    // It was not read: the next epoch begins with it.
    this.#queue?.clear();
    // Best effort: on a broken connection it fails, and the broker forgets an idle consumer by itself.
    if (reason !== 'disconnected') this.#consumer.delete().catch(() => undefined);
    this.#resolveEnded(reason);
  }

  #receive({ deliverySequence, message }: Delivery, queue: SlicedQueue<StreamMessage>): void {
    if (this.#isOver) return;
    this.#deliveries += 1;
    if (deliverySequence !== this.#deliveries || message.sequence <= this.#lastSequence) {
      this.end('delivery_gap');
      return;
    }
    this.#lastSequence = message.sequence;
    queue.add(message);
  }
}
