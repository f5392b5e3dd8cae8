import type { StreamPosition } from '@infrasignal/shared';
import type { Broker } from '@infrasignal/service-kit';
import type { NatsConnection } from '@nats-io/transport-node';
import type { FastifyBaseLogger } from 'fastify';
import type { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import type { Timers } from '../lib/timers.ts';
import { loadBroadcasts } from './broadcast-loader.ts';
import { settleOrAbort } from './abortable.ts';
import type { ConsumerEpoch, EpochEnd, EpochStart, OpenEpoch } from './consumer-epoch.ts';
import type { EventDecoder } from './event-decoder.ts';
import { loadRevocations } from './revocation-loader.ts';
import { loadRecentEvents } from './recent-loader.ts';
import type { RecentEvents } from './recent-events.ts';
import { chooseResumePoint, isOtherLog, proofOf, type FoundEvent, type ReadPlace } from './resume-point.ts';
import { createRelayStats, type RelayStats } from './relay-stats.ts';
import { StreamFollower, type StreamFollowerOptions } from './stream-follower.ts';
import type { StreamMessage } from './stream-message.ts';
import type { StreamReads, StreamState } from './stream-reader.ts';
import { StreamWatchdog } from './stream-watchdog.ts';

/** Attempts to open a consumer are this far apart: at first at once (the broker is just starting), then calmly. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

export interface EventConsumerOptions {
  readonly broker: Pick<Broker, 'connection' | 'onConnected' | 'onDisconnected'>;
  readonly reader: StreamReads;
  /** Opens a consumer on a connection, not yet reading. @throws whatever the broker answers */
  readonly openEpoch: (connection: NatsConnection, start: EpochStart, filter: string | null) => Promise<ConsumerEpoch>;
  readonly decoder: EventDecoder;
  readonly hub: StreamFollowerOptions['hub'] & Pick<Hub, 'revoke'>;
  /** Filled as the reading goes on. */
  readonly recent: RecentEvents;
  readonly timers: Timers;
  readonly log: FastifyBaseLogger;
}

interface OpenedEpoch {
  readonly epoch: ConsumerEpoch;
  /** Where the reading then is; absent when it goes on where it was. */
  readonly settle?: () => void;
}

/**
 * Reads the event stream into the hub, in order, for the life of the process, through whatever happens to the broker.
 * README.md beside this file says how.
 */
export class EventConsumer {
  readonly stats: RelayStats = createRelayStats();
  readonly #options: EventConsumerOptions;
  readonly #follower: StreamFollower;
  readonly #watchdog: StreamWatchdog;
  #epoch: ConsumerEpoch | null = null;
  /** Aborted when what is being opened has lost its connection. */
  #attempt = new AbortController();
  #isStopped = false;
  #hasFailed = false;
  #wake: () => void = () => undefined;
  #stopListening: (() => void)[] = [];
  #running: Promise<void> = Promise.resolve();

  constructor(options: EventConsumerOptions) {
    const { decoder, hub, log, reader, recent, timers } = options;
    this.#options = options;
    this.#follower = new StreamFollower({ decoder, hub, log, recent, stats: this.stats });
    this.#watchdog = new StreamWatchdog(reader, timers);
  }

  /** True while new events reach this node: a consumer is live, and no recovery is under way. */
  get isReady(): boolean {
    return this.#epoch !== null && this.#follower.recovery === null;
  }

  /** The last position that was read. */
  get readThrough(): number {
    return this.#follower.place?.readThrough ?? 0;
  }

  /** The last valid event that was read, with its place: what a cursor of this node is proved by. */
  get anchor(): StreamPosition {
    return this.#follower.place?.anchor ?? { sequence: 0, eventId: '' };
  }

  /**
   * True if the stream is the one that this node reads, as far as its leader tells. One that was created anew is noticed
   * within a second by itself; whoever is about to answer from both of them asks. @throws StreamUnreadableError
   */
  async isSameLog(): Promise<boolean> {
    const { place } = this.#follower;
    if (place === null) return false;
    const { createdAt, readThrough } = place;
    return !isOtherLog({ createdAt, readThrough }, await this.#options.reader.getState());
  }

  start(): void {
    const { broker } = this.#options;
    this.#stopListening = [
      broker.onConnected(() => {
        this.#wake();
      }),
      broker.onDisconnected(() => {
        this.#attempt.abort();
        this.#epoch?.end('disconnected');
      }),
    ];
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const stop of this.#stopListening) stop();
    this.#attempt.abort();
    this.#epoch?.end('stopped');
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { broker, log, timers } = this.#options;
    let retryMs = RETRY_MIN_MS;
    while (!this.#isStopped) {
      const { connection } = broker;
      const startedAtMs = timers.now();
      try {
        if (connection !== null) await this.#live(connection);
      } catch (error) {
        if (!this.#hasFailed) log.warn({ err: error }, 'event consumer cannot be opened, trying until it can');
        this.#hasFailed = true;
      }
      if (timers.now() - startedAtMs > RETRY_MAX_MS) retryMs = RETRY_MIN_MS;
      if (connection === null) retryMs = RETRY_MIN_MS;
      await this.#pause(connection === null ? RETRY_MAX_MS : retryMs);
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    }
  }

  /** Waits, or until the broker is connected again. */
  #pause(durationMs: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.timers.after(durationMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** One epoch from opening to end. @throws when it cannot be opened. */
  async #live(connection: NatsConnection): Promise<void> {
    const { log } = this.#options;
    this.#attempt = new AbortController();
    const epoch = await this.#open(connection, this.#attempt.signal);
    if (epoch === null) return;
    this.#epoch = epoch;
    this.#hasFailed = false;
    log.info({ after: epoch.startsAfter, pending: epoch.pendingAtStart }, 'event consumer live');
    const stopWatching = this.#watchdog.watch(
      () => this.#follower.place,
      (reason) => {
        epoch.end(reason);
      },
    );
    const reason = await epoch.ended;
    stopWatching();
    this.#epoch = null;
    this.#noteEnd(reason);
  }

  #noteEnd(reason: EpochEnd): void {
    increment(this.stats.epochEnds, reason);
    if (reason !== 'stopped') this.#options.log.warn({ reason }, 'event consumer ended, opening another');
  }

  /** Opens a consumer where the reading has to go on; null when the connection was lost meanwhile. */
  async #open(connection: NatsConnection, signal: AbortSignal): Promise<ConsumerEpoch | null> {
    const opening = this.#openEpoch(connection, signal);
    // Nobody waits for it after an abort; what it still opens is closed by it, and what it throws is no news.
    opening.catch(() => undefined);
    return settleOrAbort(opening, signal);
  }

  async #openEpoch(connection: NatsConnection, signal: AbortSignal): Promise<ConsumerEpoch | null> {
    const state = await this.#options.reader.getState();
    const { place } = this.#follower;
    const opened = await (place === null
      ? this.#openFirst(connection, state)
      : this.#openNext(connection, state, place));
    const { epoch, settle } = opened;
    if (signal.aborted) {
      epoch.end('disconnected');
      return null;
    }
    // Only now, and at once: another attempt may have moved on while this one waited for its answers.
    settle?.();
    await epoch.read((message) => {
      this.#follower.read(message);
    });
    return epoch;
  }

  /** A node that starts owes nobody the past but the ended sessions: it begins behind the newest message. */
  async #openFirst(connection: NatsConnection, state: StreamState): Promise<OpenedEpoch> {
    const { lastSequence } = state;
    const last = await this.#messageAt(lastSequence);
    const epoch = await this.#openAfter(connection, lastSequence);
    // The consumer is there already: a session that ends from now on is told by it, what ended before is read here.
    try {
      await this.#loadRevocations(connection, state);
      if (last !== null) await this.#loadRecent(connection, lastSequence);
      await this.#loadBroadcasts(connection, lastSequence);
    } catch (error) {
      epoch.end('stopped');
      throw error;
    }
    return {
      epoch,
      settle: () => {
        this.#follower.settle(state, lastSequence, last);
      },
    };
  }

  async #loadRevocations(connection: NatsConnection, state: StreamState): Promise<void> {
    const { decoder, hub, reader, timers } = this.#options;
    const newest = await reader.findNewestRevocationAtLeader();
    const { brokerTimeMs = timers.timeOfDay() } = state;
    await loadRevocations(this.#opener(connection), decoder, { newest, brokerTimeMs }, timers, (sessionId) => {
      hub.revoke(sessionId);
    });
  }

  /** After a restart everybody comes back at once, and for what happened just now. */
  async #loadRecent(connection: NatsConnection, throughSequence: number): Promise<void> {
    const { recent, timers } = this.#options;
    recent.clear();
    await loadRecentEvents(this.#opener(connection), throughSequence, timers, (message) => {
      this.#follower.recall(message);
    });
  }

  async #loadBroadcasts(connection: NatsConnection, throughSequence: number): Promise<void> {
    const { reader, timers } = this.#options;
    const newest = await reader.findNewestBroadcastAtLeader();
    if (newest === null) return;
    await loadBroadcasts(this.#opener(connection), newest.sequence, timers, (message) => {
      // What came after the reading was begun is read by it.
      if (message.sequence <= throughSequence) this.#follower.recallBroadcast(message);
    });
  }

  async #openNext(connection: NatsConnection, state: StreamState, place: ReadPlace): Promise<OpenedEpoch> {
    const { recovery } = this.#follower;
    if (recovery !== null) return this.#openRecovery(connection, state, recovery.fromTimeMs);
    const found = await this.#eventAt(proofOf(place));
    // It may have been dropped for its age just now: what the log begins with is asked after that it was not there.
    const stateNow = found === null ? await this.#options.reader.getState() : state;
    const point = chooseResumePoint(place, stateNow, found);
    if (point.kind === 'continue') {
      const epoch = await this.#openAfter(connection, point.fromSequence - 1);
      await this.#assertSameLog(epoch);
      return {
        epoch,
        settle: () => {
          this.#follower.passOver(epoch.startsAfter);
        },
      };
    }
    this.#options.log.warn({ why: point.why }, 'the event stream is not the one that was read, reading it again');
    return this.#openRecovery(connection, stateNow, point.fromTimeMs);
  }

  async #openAfter(connection: NatsConnection, sequence: number): Promise<ConsumerEpoch> {
    const epoch = await this.#options.openEpoch(connection, { fromSequence: sequence + 1 }, null);
    // A start past the end is quietly moved to the end: the log became shorter since it was looked at.
    if (epoch.startsAfter >= sequence) return epoch;
    epoch.end('stream_changed');
    throw new Error('the event stream became shorter while a consumer was opened');
  }

  /** That the place is one of this log was asked before there was a consumer: it may have been made anew in between. */
  async #assertSameLog(epoch: ConsumerEpoch): Promise<void> {
    try {
      if (await this.isSameLog()) return;
      throw new Error('the event stream became another one while a consumer was opened');
    } catch (error) {
      epoch.end('stream_changed');
      throw error;
    }
  }

  async #openRecovery(
    connection: NatsConnection,
    state: StreamState,
    fromTimeMs: number | null,
  ): Promise<OpenedEpoch> {
    const epoch = await this.#options.openEpoch(connection, { fromTimeMs }, null);
    const { startsAfter, pendingAtStart } = epoch;
    const isEmpty = pendingAtStart === 0;
    const last = isEmpty ? await this.#messageAt(startsAfter) : null;
    const untilSequence = isEmpty ? startsAfter : state.lastSequence;
    return {
      epoch,
      settle: () => {
        this.#follower.startRecovery(state, startsAfter, { fromTimeMs, untilSequence });
        if (isEmpty) this.#follower.settle(state, startsAfter, last);
      },
    };
  }

  #opener(connection: NatsConnection): OpenEpoch {
    return (start, filter) => this.#options.openEpoch(connection, start, filter);
  }

  async #messageAt(sequence: number): Promise<StreamMessage | null> {
    return sequence === 0 ? null : this.#options.reader.findAtLeader(sequence);
  }

  async #eventAt(sequence: number): Promise<FoundEvent | null> {
    const message = await this.#messageAt(sequence);
    if (message === null) return null;
    const decoded = this.#options.decoder.decode(message);
    return { eventId: decoded.ok ? decoded.event.position.eventId : '', storedAtMs: message.storedAtMs };
  }
}
