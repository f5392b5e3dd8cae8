import type { FastifyBaseLogger } from 'fastify';
import pg from 'pg';
import { advisoryLocks } from '../db/advisory-locks.ts';

/** A proof of leadership is good for less than the server's patience: the difference covers a slow network. */
const PROOF_LIFE_SHARE = 0.7;

/** Three proofs may fail before the last one is stale. */
const PROOF_INTERVAL_SHARE = 0.2;

/** How long any answer on the lock's connection may take. */
const ANSWER_SHARE = 0.3;

/** How often a candidate asks for the lock: the longest pause in relaying when a leader is killed. */
const CANDIDATE_INTERVAL_MS = 500;

export interface LeaderLockOptions {
  readonly databaseUrl: string;
  /**
   * The server ends the lock's session when it hears nothing for this long, in seconds, so that the lock of a frozen
   * leader is released.
   */
  readonly timeoutSeconds: number;
  readonly log: FastifyBaseLogger;
  readonly onAcquired: () => void;
}

/**
 * Leadership by a PostgreSQL session advisory lock on a connection of its own. Held while that connection lives and
 * its proofs are fresh; a lost connection is lost leadership, known at once or, at the latest, when the proof is stale.
 */
export class LeaderLock {
  readonly #databaseUrl: string;
  readonly #timeoutMs: number;
  readonly #log: FastifyBaseLogger;
  #client: pg.Client | null = null;
  #isLocked = false;
  #provenAt = 0;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;
  #isTicking: Promise<void> = Promise.resolve();
  readonly #onAcquired: () => void;

  constructor(options: LeaderLockOptions) {
    this.#databaseUrl = options.databaseUrl;
    this.#timeoutMs = options.timeoutSeconds * 1_000;
    this.#log = options.log;
    this.#onAcquired = options.onAcquired;
  }

  /** True while this instance may publish. Measured with the monotonic clock: a step of the wall clock means nothing. */
  get isHeld(): boolean {
    return this.#isLocked && performance.now() - this.#provenAt < this.#timeoutMs * PROOF_LIFE_SHARE;
  }

  start(): void {
    this.#schedule(0);
  }

  /** Gives the lock back, so that another instance takes over at once. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#isTicking;
    await this.#drop();
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#isTicking = this.#tick().finally(() =>
        this.#schedule(this.#isLocked ? this.#timeoutMs * PROOF_INTERVAL_SHARE : CANDIDATE_INTERVAL_MS),
      );
    }, delayMs);
  }

  async #tick(): Promise<void> {
    try {
      const client = this.#client ?? (await this.#connect());
      const askedAt = performance.now();
      if (this.#isLocked) {
        await client.query('select 1');
        this.#provenAt = askedAt;
        return;
      }
      const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
        advisoryLocks.relay,
      ]);
      if (rows[0]?.locked !== true) return;
      this.#isLocked = true;
      this.#provenAt = askedAt;
      this.#log.info('outbox relay: leading');
      this.#onAcquired();
    } catch (error) {
      if (this.#isLocked) this.#log.warn({ err: error }, 'outbox relay: leadership lost');
      await this.#drop();
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#databaseUrl,
      application_name: 'infrasignal-relay-lock',
      connectionTimeoutMillis: this.#timeoutMs * ANSWER_SHARE,
      query_timeout: this.#timeoutMs * ANSWER_SHARE,
      keepAlive: true,
    });
    client.on('error', () => this.#forget(client));
    client.on('end', () => this.#forget(client));
    this.#client = client;
    await client.connect();
    await client.query(`set idle_session_timeout = ${this.#timeoutMs}`);
    return client;
  }

  #forget(client: pg.Client): void {
    if (this.#client !== client) return;
    if (this.#isLocked) this.#log.warn('outbox relay: leadership lost with its connection');
    this.#client = null;
    this.#isLocked = false;
  }

  async #drop(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    this.#isLocked = false;
    // A connection that does not answer cannot be ended politely; destroying it must not keep us waiting.
    const timeout = new Promise((resolve) => setTimeout(resolve, this.#timeoutMs * ANSWER_SHARE).unref());
    await Promise.race([client?.end().catch(() => undefined), timeout]);
  }
}
