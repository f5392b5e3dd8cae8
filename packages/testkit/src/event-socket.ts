import { BEARER_SUBPROTOCOL_PREFIX, shouldReconnect, SUBPROTOCOL, TICKET_SUBPROTOCOL_PREFIX } from '@infrasignal/shared/plain';
import { WebSocket } from 'ws';
import { nowMs, type ClientRecord, type ConnectionRecord } from './ledger.ts';

export interface EventSocketOptions {
  /** Addresses of the notify nodes, `http://…`; each connection goes to one of them at random. */
  readonly urls: readonly string[];
  /** Access token; null: anonymous. */
  readonly access: string | null;
  /** Where everything that happens is written. */
  readonly record: ClientRecord;
  readonly random?: () => number;
  /** What a (re)connect asks to continue from, given the last cursor. Replaced to play a client that is broken. */
  readonly chooseAfter?: (cursor: string | null) => string | null;
  /** Told of every notification, after it is written down. */
  readonly onNotification?: (frame: Readonly<Record<string, unknown>>, receivedAt: number) => void;
}

/** A client waits a random time below this before its first reconnect, doubled with each failed attempt. */
const BACKOFF_MIN_MS = 200;

/** Full jitter spreads a node's worth of clients over at most this long. */
const BACKOFF_MAX_MS = 2_000;

/** A handshake that takes longer will not succeed. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * A client of the socket protocol `infrasignal.v1`, written from its description: keeps the last cursor, comes back
 * with it, and with its reconnect ticket, after every close that allows to, with full-jitter back-off, and writes
 * everything down.
 */
export class EventSocket {
  readonly #options: EventSocketOptions;
  readonly #random: () => number;
  readonly #chooseAfter: (cursor: string | null) => string | null;
  #socket: WebSocket | null = null;
  #cursor: string | null = null;
  #ticket: string | null = null;
  #attempt = 0;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;
  #isConnected = false;
  /** The newest `seq` per user that this client knows of. */
  readonly newestSeqs = new Map<number, number>();

  constructor(options: EventSocketOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#chooseAfter = options.chooseAfter ?? ((cursor) => cursor);
  }

  get record(): ClientRecord {
    return this.#options.record;
  }

  /** True between `connected` and the end of that connection. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  start(): void {
    const { urls, access, record } = this.#options;
    const after = this.#chooseAfter(this.#cursor);
    const base = urls[Math.floor(this.#random() * urls.length)] ?? '';
    const url = new URL('/ws/notifications/', base.replace(/^http/, 'ws'));
    if (after !== null) url.searchParams.set('after', after);
    const connection: ConnectionRecord = {
      startedAt: nowMs(),
      after,
      openedAt: null,
      closedAt: null,
      closeCode: null,
      refusal: null,
      frames: [],
    };
    record.connections.push(connection);
    const protocols: string[] = [SUBPROTOCOL];
    if (access !== null) protocols.push(`${BEARER_SUBPROTOCOL_PREFIX}${access}`);
    if (this.#ticket !== null) protocols.push(`${TICKET_SUBPROTOCOL_PREFIX}${this.#ticket}`);
    const socket = new WebSocket(url, protocols, {
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    this.#follow(socket, connection);
  }

  /** Stops reading: nothing is answered any more, and the end of the connection is not seen either. */
  pause(): void {
    this.#socket?.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#socket?.resume();
  }

  /** Closes for good. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.terminate();
  }

  #follow(socket: WebSocket, connection: ConnectionRecord): void {
    socket.on('open', () => {
      connection.openedAt = nowMs();
    });
    socket.on('message', (data: Buffer) => {
      this.#receive(socket, connection, data);
    });
    socket.on('unexpected-response', (_request, response) => {
      connection.refusal = `refused with ${response.statusCode ?? 0}`;
      response.resume();
      socket.terminate();
    });
    socket.on('error', (error) => {
      connection.refusal ??= error.message;
    });
    socket.on('close', (code) => {
      connection.closedAt = nowMs();
      connection.closeCode = code;
      this.#isConnected = false;
      if (!this.#isStopped && shouldReconnect(code)) this.#scheduleReconnect();
    });
  }

  #receive(socket: WebSocket, connection: ConnectionRecord, data: Buffer): void {
    const body = JSON.parse(data.toString('utf8')) as Record<string, unknown>;
    const at = nowMs();
    if (body.type === 'ping') {
      socket.send('{"type":"pong"}');
      return;
    }
    connection.frames.push({ at, body });
    if (typeof body.cursor === 'string') this.#cursor = body.cursor;
    if (typeof body.user_id === 'number' && typeof body.seq === 'number') this.newestSeqs.set(body.user_id, body.seq);
    if (body.type === 'connected') {
      this.#attempt = 0;
      this.#isConnected = true;
      this.#ticket = typeof body.ticket === 'string' ? body.ticket : null;
    } else if (String(body.type).includes('.')) {
      this.#options.onNotification?.(body, at);
    }
  }

  #scheduleReconnect(): void {
    const limitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#timer = setTimeout(() => {
      this.start();
    }, this.#random() * limitMs);
  }
}
