import { ALL_PRESENCE, PRESENCE_STREAM_NAME } from '@infrasignal/shared';
import type { Broker } from '@infrasignal/service-kit';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { FastifyBaseLogger } from 'fastify';
import { setTimeout as sleep } from 'node:timers/promises';
import { settleOrAbort } from '../relay/abortable.ts';
import { parsePresenceChange, type PresenceChange } from './presence-log.ts';

/** The stream is made by the first keeper; until then, and after a broken connection, it is asked for this often. */
const RETRY_MS = 500;

/**
 * A consumer asks for a second's worth at a time and hears from the broker twice as often: what was lost with a
 * connection is noticed within a second or two.
 */
const CONSUME_OPTIONS = { expires: 1_000, idle_heartbeat: 500 };

export interface PresenceFeedOptions {
  readonly broker: Broker;
  readonly log: FastifyBaseLogger;
  readonly onChange: (change: PresenceChange) => void;
}

/** Follows the changes from when it was started, each once, whatever happens to the broker's connection. */
export class PresenceFeed {
  readonly #options: PresenceFeedOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #readThrough: number | null = null;

  constructor(options: PresenceFeedOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { broker, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const { connection } = broker;
      const lost = new AbortController();
      const stopListening = broker.onDisconnected(() => {
        lost.abort();
      });
      try {
        if (connection !== null) await this.#followUntil(connection, AbortSignal.any([signal, lost.signal]));
      } catch (error) {
        log.debug({ err: error }, 'changes of presence cannot be read now');
      } finally {
        stopListening();
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** The library's consumer does not end while it makes itself anew, so nobody waits for its end. */
  async #followUntil(connection: NatsConnection, ending: AbortSignal): Promise<void> {
    const following = this.#follow(connection, ending);
    following.catch(() => undefined);
    await settleOrAbort(following, ending);
  }

  async #follow(connection: NatsConnection, ending: AbortSignal): Promise<void> {
    const { streams } = await jetstream(connection).jetstreamManager();
    const { state } = await streams.info(PRESENCE_STREAM_NAME);
    // A stream that is shorter than what was read is another one.
    if (this.#readThrough === null || this.#readThrough > state.last_seq) this.#readThrough = state.last_seq;
    const consumer = await jetstream(connection).consumers.get(PRESENCE_STREAM_NAME, {
      filter_subjects: ALL_PRESENCE,
      opt_start_seq: this.#readThrough + 1,
      deliver_policy: 'by_start_sequence',
    });
    const messages = await consumer.consume(CONSUME_OPTIONS);
    const end = (): void => void messages.close();
    ending.addEventListener('abort', end, { once: true });
    try {
      if (ending.aborted) return;
      for await (const message of messages) {
        if (ending.aborted) return;
        this.#readThrough = message.seq;
        const change = parsePresenceChange(message.subject, message.data, message.seq);
        if (change !== null) this.#options.onChange(change);
      }
    } finally {
      ending.removeEventListener('abort', end);
      await messages.close();
    }
  }
}
