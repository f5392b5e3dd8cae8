import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { FastifyBaseLogger } from 'fastify';
import { setTimeout as sleep } from 'node:timers/promises';
import { toConnectOptions, type BrokerAccess } from './broker-access.ts';
import { explainCertificateFailure } from './tls-failure.ts';

export interface BrokerOptions {
  /** One or more `nats://` URLs, comma-separated. */
  readonly url: string;
  /** Absent: a broker that asks nobody who he is. */
  readonly access?: BrokerAccess;
  /** Shown by the broker's monitoring: which service and process this is. */
  readonly name: string;
  readonly log: FastifyBaseLogger;
}

type Listener = (connection: NatsConnection) => void;

/** 250 ms between attempts: a restarted broker is found again at once, and an absent one costs nothing. */
const RECONNECT_WAIT_MS = 250;

/**
 * A ping every 3 s, two unanswered ones mean a dead peer: a frozen broker is noticed within 9 s although its TCP still
 * acks. Shorter would take one that is busy for a dead one.
 */
const PING_INTERVAL_MS = 3_000;
const PINGS_OUT_MAX = 2;

/**
 * One attempt to connect, two round trips, may take 1.5 s. When a server dies between its greeting and its first pong,
 * nats-core (3.4.0) does not notice and waits for all of this, while the server may long be back: with 5 s, one restart
 * in thirty under a quick series of kills left a node deaf for four. Shorter would fail over a slow link.
 */
const CONNECT_TIMEOUT_MS = 1_500;

/**
 * nats-core (3.4.0) goes by the time of day to leave a pause between two attempts to reach a server. When the clock is
 * set back, it waits until that time has come again: for a day, if it was set back by one. So we look how far the time
 * of day has run away from the clock that never steps, and begin with a new connection if it was set back by this much.
 * Less would mistake the small corrections of a time service for a step, more would wait for as long.
 */
const SET_BACK_MS = 1_000;
const CLOCK_CHECK_INTERVAL_MS = 500;

/** How far the time of day is ahead of the clock that never steps. */
function readClockDifference(): number {
  return Date.now() - performance.now();
}

/** How long closing may wait for what is still to be sent. */
const DRAIN_TIMEOUT_MS = 2_000;

/**
 * One connection to NATS for the life of the process. It is made in the background and remade for ever, so a service
 * starts and lives without a broker; what needs one asks `connection`, or is told by `onConnected`.
 */
export class Broker {
  #connection: NatsConnection | null = null;
  #isConnected = false;
  #isClosed = false;
  readonly #connectedListeners = new Set<Listener>();
  readonly #disconnectedListeners = new Set<() => void>();
  readonly #options: BrokerOptions;
  readonly #closing = new AbortController();

  constructor(options: BrokerOptions) {
    this.#options = options;
    void this.#run();
  }

  /** The connection while it is up, else null. What was sent on it may still fail: only an answer is an answer. */
  get connection(): NatsConnection | null {
    return this.#isConnected ? this.#connection : null;
  }

  /** Calls now if connected, and at every later (re)connect. Returns what ends it. */
  onConnected(listener: Listener): () => void {
    this.#connectedListeners.add(listener);
    if (this.#isConnected && this.#connection !== null) listener(this.#connection);
    return () => this.#connectedListeners.delete(listener);
  }

  /** Calls at every loss of the connection. Returns what ends it. */
  onDisconnected(listener: () => void): () => void {
    this.#disconnectedListeners.add(listener);
    return () => this.#disconnectedListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort();
    const connection = this.#connection;
    if (connection === null || connection.isClosed()) return;
    const timeout = new Promise((resolve) => setTimeout(resolve, DRAIN_TIMEOUT_MS).unref());
    if (this.#isConnected) await Promise.race([connection.flush().catch(() => undefined), timeout]);
    await connection.close();
  }

  async #run(): Promise<void> {
    const { url, access, name, log } = this.#options;
    while (!this.#isClosed) {
      try {
        this.#connection = await connect({
          ...toConnectOptions(url, access),
          name,
          maxReconnectAttempts: -1,
          reconnectTimeWait: RECONNECT_WAIT_MS,
          reconnectJitter: RECONNECT_WAIT_MS,
          pingInterval: PING_INTERVAL_MS,
          maxPingOut: PINGS_OUT_MAX,
          timeout: CONNECT_TIMEOUT_MS,
        });
      } catch (error) {
        const reason = explainCertificateFailure(error);
        const trouble = reason === null ? 'not reachable' : `not trusted, because of its certificate: ${reason}`;
        log.warn({ err: error }, `broker ${trouble}; trying again`);
        await this.#pause();
        continue;
      }
      await this.#follow(this.#connection);
    }
  }

  /** Cut short by closing. */
  async #pause(): Promise<void> {
    await sleep(RECONNECT_WAIT_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }

  /** Tells the listeners of every change until the connection is closed for good. */
  async #follow(connection: NatsConnection): Promise<void> {
    if (this.#isClosed) return connection.close();
    this.#announceConnected(connection);
    const stopWatching = this.#watchClock(connection);
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') this.#announceDisconnected();
      if (status.type === 'reconnect') this.#announceConnected(connection);
      if (status.type === 'error') this.#options.log.warn({ err: status.error }, 'broker reported an error');
      if (status.type === 'close') break;
    }
    stopWatching();
    this.#announceDisconnected();
    await connection.closed();
  }

  /** Gives up a connection that is away and would not be tried again because the clock was set back. */
  #watchClock(connection: NatsConnection): () => void {
    let highest = readClockDifference();
    const timer = setInterval(() => {
      const difference = readClockDifference();
      highest = Math.max(highest, difference);
      if (this.#isConnected || difference > highest - SET_BACK_MS) return;
      this.#options.log.warn('the clock was set back while the broker was away, connecting anew');
      void connection.close();
    }, CLOCK_CHECK_INTERVAL_MS);
    timer.unref();
    return () => {
      clearInterval(timer);
    };
  }

  #announceConnected(connection: NatsConnection): void {
    // An attempt that failed half-way is reported as a reconnect of its own when the next one succeeds.
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#options.log.info({ server: connection.getServer() }, 'broker connected');
    for (const listener of this.#connectedListeners) listener(connection);
  }

  #announceDisconnected(): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    if (!this.#isClosed) this.#options.log.warn('broker connection lost');
    for (const listener of this.#disconnectedListeners) listener();
  }
}
