import {
  ACCESS_TOKEN_TTL_SECONDS_MAX,
  ALL_SESSION_REVOCATIONS,
  EVENTS_STREAM_NAME,
  findEndedSessions,
  parseEvent,
} from '@infrasignal/shared';
import { AckPolicy, DeliverPolicy, jetstream, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { CLOCK_MARGIN_SECONDS } from './access-token-verifier.ts';

export interface SessionRevocationsOptions {
  /** A connection of the service's own, with a user that may read the stream. It is not closed here. */
  readonly connection: NatsConnection;
  /** Told of each interruption; reading is tried again until `stop`. */
  readonly onError?: (error: unknown) => void;
  /** Milliseconds that only grow; for tests. */
  readonly now?: () => number;
}

/** A revocation matters as long as a token can live that was issued right before it. */
const LIFE_MS = (ACCESS_TOKEN_TTL_SECONDS_MAX + CLOCK_MARGIN_SECONDS) * 1_000;

const NANOSECONDS_PER_MS = 1_000_000;

/** The broker forgets what a killed process leaves behind after this long. */
const INACTIVE_THRESHOLD_MS = 30_000;

/** A broker that stopped is noticed within a second. */
const PULL_EXPIRES_MS = 1_000;
const PULL_HEARTBEAT_MS = 500;

const RETRY_MS = 250;

/** What the consumer reports when it can no longer be relied on; it is then made anew. */
const DOUBTS: ReadonlySet<string> = new Set([
  'heartbeats_missed',
  'consumer_not_found',
  'consumer_deleted',
  'stream_not_found',
  'no_responders',
]);

/**
 * The sessions that ended while a token of them may still be alive, followed live: an access token of such a session
 * must be refused although it verifies.
 *
 * Reading begins as far back as a revocation can matter, and begins there again after every interruption. So nothing
 * is missed, whatever happened to the broker meanwhile, at the price of reading some of it twice.
 */
export class SessionRevocations {
  readonly #options: SessionRevocationsOptions;
  readonly #now: () => number;
  /** Session to the moment from which it may be forgotten, oldest first. */
  readonly #ended = new Map<string, number>();
  #isCurrent = false;
  #isStopped = false;
  #messages: ConsumerMessages | null = null;

  constructor(options: SessionRevocationsOptions) {
    this.#options = options;
    this.#now = options.now ?? ((): number => performance.now());
  }

  /** False until everything that can matter was read, and while reading is interrupted: then accept nobody. */
  get isReady(): boolean {
    return this.#isCurrent;
  }

  /** True if the session ended although its token may say otherwise. */
  isRevoked(sessionId: string): boolean {
    const forgetAt = this.#ended.get(sessionId);
    return forgetAt !== undefined && forgetAt > this.#now();
  }

  /** Begins reading and goes on until `stop`. */
  start(): void {
    void this.#watchConnection();
    void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    this.#isCurrent = false;
    this.#messages?.stop();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#follow();
      } catch (error) {
        if (!this.#isStopped) this.#options.onError?.(error);
      }
      this.#isCurrent = false;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
    }
  }

  /** The library waits for a lost connection in silence; what is read meanwhile elsewhere is not known here. */
  async #watchConnection(): Promise<void> {
    for await (const { type } of this.#options.connection.status()) {
      if (this.#isStopped) return;
      if (type !== 'disconnect') continue;
      this.#isCurrent = false;
      this.#messages?.stop();
    }
  }

  /** One consumer from its creation to the first doubt. */
  async #follow(): Promise<void> {
    const client = jetstream(this.#options.connection);
    const manager = await client.jetstreamManager(false);
    // The messages carry the broker's time, so that it is the broker's clock that says how far back to read.
    const { ts: brokerTime } = await manager.streams.info(EVENTS_STREAM_NAME);
    const fromTimeMs = (brokerTime === undefined ? Date.now() : Date.parse(brokerTime)) - LIFE_MS;
    const info = await manager.consumers.add(EVENTS_STREAM_NAME, {
      ack_policy: AckPolicy.None,
      mem_storage: true,
      inactive_threshold: INACTIVE_THRESHOLD_MS * NANOSECONDS_PER_MS,
      filter_subject: ALL_SESSION_REVOCATIONS,
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: new Date(fromTimeMs).toISOString(),
    });
    const due = info.num_pending;
    let received = 0;
    this.#isCurrent = due === 0;
    const messages = await client.consumers.getConsumerFromInfo(info).consume({
      expires: PULL_EXPIRES_MS,
      idle_heartbeat: PULL_HEARTBEAT_MS,
      callback: (message) => {
        this.#receive(message);
        received += 1;
        if (message.info.deliverySequence !== received) messages.stop();
        else if (received >= due) this.#isCurrent = true;
      },
    });
    this.#messages = messages;
    if (this.#isStopped) messages.stop();
    for await (const { type } of messages.status()) if (DOUBTS.has(type)) messages.stop();
  }

  #receive({ subject, data }: JsMsg): void {
    const parsed = parseEvent(subject, data);
    if (!parsed.ok) return;
    // From now on and not from when it ended, by a clock that never steps: too long is harmless, too short is not.
    const now = this.#now();
    for (const sessionId of findEndedSessions(parsed.event)) {
      this.#ended.delete(sessionId);
      this.#ended.set(sessionId, now + LIFE_MS);
    }
    for (const [oldest, at] of this.#ended) {
      if (at > now) break;
      this.#ended.delete(oldest);
    }
  }
}
