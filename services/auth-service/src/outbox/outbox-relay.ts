import { parseTraceparent, toConnectOptions, type BrokerAccess, type Tracer } from '@infrasignal/service-kit';
import { OUTBOX_HINT_SUBJECT } from '@infrasignal/shared';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { FastifyBaseLogger } from 'fastify';
import type pg from 'pg';
import { BatchPipeline } from './batch-pipeline.ts';
import { EventPublisher } from './event-publisher.ts';
import { LeaderLock } from './leader-lock.ts';
import { deletePublished, findBrokerIdentity, saveBrokerIdentity, type OutboxRow } from './outbox-repository.ts';
import { HeldUsers, publishInOrder } from './publish-in-order.ts';
import { TailReplay } from './tail-replay.ts';
import { Wakeup } from './wakeup.ts';

export interface OutboxRelayOptions {
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  readonly natsUrl: string;
  /** Absent: a broker that asks nobody who he is. */
  readonly brokerAccess?: BrokerAccess;
  readonly streamReplicas: number;
  /** How long the broker recognises an event's id, and published rows stay, in seconds. */
  readonly duplicateWindowSeconds: number;
  /** The database takes a leader that it does not hear from for so long for gone, in seconds. */
  readonly leaderTimeoutSeconds: number;
  readonly tracer: Tracer;
  readonly log: FastifyBaseLogger;
}

/** Rows per round: enough to keep the broker busy, few enough to mark in one short UPDATE. */
const BATCH_ROWS = 500;

/** The truth behind the hints: a committed row is seen at the latest after this. */
const POLL_INTERVAL_MS = 250;

const CLEANUP_INTERVAL_MS = 10_000;
const CLEANUP_ROWS = 5_000;

/**
 * Back-off between epochs and after a round in which nothing could be stored. The longest pause is what a broker that
 * is back may be left waiting; there is one relay, so asking twice a second costs nobody anything.
 */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 500;

/** A frozen broker is noticed by unanswered pings: 2 × 3 s. */
const PING_INTERVAL_MS = 3_000;

/**
 * One attempt to connect, two round trips. nats-core (3.4.0) waits for all of it when the server dies between its
 * greeting and its first pong; shorter would fail over a slow link.
 */
const CONNECT_TIMEOUT_MS = 1_500;

/** What the relay of this instance did, as plain counters. */
export interface OutboxRelayStats {
  /** Rows that the broker has, those published again after its restart included. */
  stored: number;
  /** Attempts that ended in an error or in doubt; each is repeated until the row is stored. */
  failed: number;
}

/**
 * Carries committed events to the broker; see README.md in this folder for what it guarantees and how.
 * Every instance runs one; only the one that holds the lock publishes.
 */
export class OutboxRelay {
  readonly stats: OutboxRelayStats = { stored: 0, failed: 0 };
  readonly #options: OutboxRelayOptions;
  readonly #lock: LeaderLock;
  readonly #wakeup = new Wakeup();
  readonly #held = new HeldUsers();
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();
  #connection: NatsConnection | null = null;
  #batches: BatchPipeline | null = null;
  #cleanedAt = 0;
  #retryMs = RETRY_MIN_MS;

  constructor(options: OutboxRelayOptions) {
    this.#options = options;
    this.#lock = new LeaderLock({
      databaseUrl: options.databaseUrl,
      timeoutSeconds: options.leaderTimeoutSeconds,
      log: options.log,
      onAcquired: () => this.#wakeup.wake(),
    });
  }

  /** True while this instance is the one that publishes. */
  get isLeading(): boolean {
    return this.#lock.isHeld;
  }

  start(): void {
    this.#lock.start();
    this.#running = this.#run();
  }

  /** Says that a row was committed. Costs nothing; losing it costs at most the poll interval. */
  wake(): void {
    this.#wakeup.wake();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wakeup.wake();
    await this.#running;
    await this.#lock.stop();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (!this.#lock.isHeld) {
        await this.#wakeup.wait(POLL_INTERVAL_MS);
        continue;
      }
      try {
        await this.#runEpoch();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'outbox relay: interrupted, trying again');
      } finally {
        await this.#connection?.close().catch(() => undefined);
        this.#connection = null;
        await this.#batches?.settle();
        this.#batches = null;
      }
      if (!this.#isStopped) await this.#backOff();
    }
  }

  async #backOff(): Promise<void> {
    await this.#wakeup.pause(this.#retryMs * (0.5 + Math.random() / 2));
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  /** From one broker connection to its end. Throws on the first sign that the connection or the database is gone. */
  async #runEpoch(): Promise<void> {
    const { natsUrl, brokerAccess, streamReplicas, duplicateWindowSeconds, pool } = this.#options;
    const connection = await connect({
      ...toConnectOptions(natsUrl, brokerAccess),
      name: `auth-service relay ${process.pid}`,
      reconnect: false,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: 2,
      timeout: CONNECT_TIMEOUT_MS,
    });
    this.#connection = connection;
    void connection.closed().then(() => this.#wakeup.wake());
    connection.subscribe(OUTBOX_HINT_SUBJECT, { callback: () => this.#wakeup.wake() });
    const publisher = await EventPublisher.create(connection, { replicas: streamReplicas, duplicateWindowSeconds });
    const identity = await publisher.ensureStream();
    const store = (row: OutboxRow): Promise<void> => this.#store(publisher, row);
    let tail: TailReplay | null = null;
    if ((await findBrokerIdentity(pool)) !== identity) {
      tail = new TailReplay({ pool, store, tailSeconds: duplicateWindowSeconds, batchRows: BATCH_ROWS });
    }
    const batches = new BatchPipeline({
      pool,
      batchRows: BATCH_ROWS,
      heldUserIds: () => this.#held.userIds(),
      assertLeading: () => this.#assertLeading(),
    });
    this.#batches = batches;
    while (this.#isWorking(connection)) {
      const isIdle = await this.#publishBatch(batches, tail, store);
      if (tail !== null && this.#isWorking(connection)) tail = await this.#continueTail(tail, identity);
      await this.#cleanUp();
      if (isIdle && tail === null && this.#isWorking(connection)) await this.#wakeup.wait(POLL_INTERVAL_MS);
    }
  }

  async #store(publisher: EventPublisher, row: OutboxRow): Promise<void> {
    // For each row anew: a batch may take its time, and the process may have stood still in the middle of it.
    this.#assertLeading();
    const span = this.#options.tracer.start('producer', parseTraceparent(row.traceparent));
    const endSpan = (isFailed: boolean): void => {
      const attributes = { 'messaging.system': 'nats', 'messaging.message.id': row.eventId, 'infrasignal.seq': row.seq };
      span.end(`publish ${row.type}`, { isFailed, attributes });
    };
    try {
      await publisher.store(row);
      this.stats.stored += 1;
      endSpan(false);
    } catch (error) {
      this.stats.failed += 1;
      endSpan(true);
      throw error;
    }
  }

  /** @throws when this instance is not sure to lead: what it has in hand may by now be another leader's */
  #assertLeading(): void {
    if (!this.#lock.isHeld) throw new Error('leadership lost with events on the way; who leads now publishes them');
  }

  #isWorking(connection: NatsConnection): boolean {
    return !this.#isStopped && this.#lock.isHeld && !connection.isClosed();
  }

  /** One step of what a restarted broker may have lost. @returns null when that was the last one */
  async #continueTail(tail: TailReplay, identity: string): Promise<TailReplay | null> {
    const { pool, log } = this.#options;
    await tail.publishNext();
    if (!tail.isDone) return tail;
    this.#assertLeading();
    await saveBrokerIdentity(pool, identity);
    log.info({ count: tail.count }, 'outbox relay: broker is new or was restarted, newest events published again');
    return null;
  }

  /** @returns true if there is nothing more to do now */
  async #publishBatch(
    batches: BatchPipeline,
    tail: TailReplay | null,
    store: (row: OutboxRow) => Promise<void>,
  ): Promise<boolean> {
    const outcome = await batches.publishNext((rows) => tail?.publishBehindTail(rows) ?? publishInOrder(rows, store));
    if (outcome === null) return true;
    const { stored, failures, isFull } = outcome;
    for (const row of stored) this.#held.release(row.userId);
    if (failures.length === 0) {
      this.#retryMs = RETRY_MIN_MS;
      return !isFull;
    }
    const failed = { err: failures[0]?.error, count: failures.length };
    this.#options.log.warn(failed, 'outbox relay: not stored, will be tried again');
    if (stored.length > 0) {
      for (const { row } of failures) this.#held.hold(row.userId);
    } else {
      // Nothing at all went through: it is the broker, not a row.
      await this.#backOff();
    }
    return false;
  }

  async #cleanUp(): Promise<void> {
    const now = performance.now();
    if (now - this.#cleanedAt < CLEANUP_INTERVAL_MS) return;
    this.#cleanedAt = now;
    const { pool, duplicateWindowSeconds } = this.#options;
    await deletePublished(pool, duplicateWindowSeconds, CLEANUP_ROWS);
  }
}
