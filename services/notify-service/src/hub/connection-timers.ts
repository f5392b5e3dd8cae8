import { closeCodes, type CloseCode } from '@infrasignal/shared';
import type { Connection, Expiry } from './connection.ts';
import type { Frame } from './ports.ts';
import type { TimingWheel } from './timing-wheel.ts';

/** After our close frame the peer has this long to answer it; then the socket is dropped. */
const CLOSE_GRACE_MS = 3_000;

export interface ConnectionTimersOptions {
  readonly wheel: TimingWheel;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  /** A peer is told this long before its right to listen ends. */
  readonly expiryWarningMs: number;
}

/** What is done to a connection when its time has come. */
export interface ConnectionActions {
  readonly close: (connection: Connection, code: CloseCode) => void;
  readonly send: (connection: Connection, frame: Frame) => void;
}

/** What happens to a connection by the clock: pings and what comes of them, the end of its right to listen. */
export class ConnectionTimers {
  readonly #options: ConnectionTimersOptions;
  readonly #actions: ConnectionActions;
  #started = 0;

  constructor(options: ConnectionTimersOptions, actions: ConnectionActions) {
    this.#options = options;
    this.#actions = actions;
  }

  /** Pings a connection from now on. */
  start(connection: Connection): void {
    this.#started += 1;
    // Half to one interval: sockets that came back together after a restart are not pinged together.
    this.#schedulePing(connection, this.#options.pingIntervalMs * (0.5 + (this.#started % 64) / 128));
  }

  /** Sets anew when the right to listen ends. */
  renew(connection: Connection, { inMs, warning }: Expiry): void {
    const { expiryWarningMs, wheel } = this.#options;
    for (const timer of [connection.expiryTimer, connection.warningTimer]) if (timer !== null) wheel.cancel(timer);
    connection.expiryTimer = wheel.schedule(inMs, () => {
      this.#actions.close(connection, closeCodes.tokenExpired);
    });
    if (warning === null) return;
    connection.warningTimer = wheel.schedule(inMs - expiryWarningMs, () => {
      this.#actions.send(connection, warning());
    });
  }

  /** The peer has given the sign of life that was awaited. */
  heard(connection: Connection): void {
    if (connection.deadlineTimer === null) return;
    this.#options.wheel.cancel(connection.deadlineTimer);
    connection.deadlineTimer = null;
  }

  /** Stops everything; nothing is done to the connection any more. */
  stop({ deadlineTimer, expiryTimer, pingTimer, warningTimer }: Connection): void {
    for (const timer of [deadlineTimer, expiryTimer, pingTimer, warningTimer]) {
      if (timer !== null) this.#options.wheel.cancel(timer);
    }
  }

  /** Drops a stopped connection that does not answer its close frame. */
  awaitClose(connection: Connection): void {
    connection.deadlineTimer = this.#options.wheel.schedule(CLOSE_GRACE_MS, () => {
      connection.port.terminate();
    });
  }

  #schedulePing(connection: Connection, delayMs: number): void {
    connection.pingTimer = this.#options.wheel.schedule(delayMs, () => {
      this.#schedulePing(connection, this.#options.pingIntervalMs);
      connection.port.probe();
      connection.deadlineTimer ??= this.#options.wheel.schedule(this.#options.pongTimeoutMs, () => {
        this.#actions.close(connection, closeCodes.pongTimeout);
      });
    });
  }
}
