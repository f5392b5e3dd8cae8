import { closeCodes, parseClientFrame } from '@infrasignal/shared';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Connection } from '../hub/connection.ts';
import { variantOf, type Listener } from './listener.ts';
import { openConnection, sendError, type ConnectionContext } from './open-connection.ts';
import { encodeTextFrame } from './text-frame.ts';
import { TokenBucket } from './token-bucket.ts';
import { TokenRenewal } from './token-renewal.ts';
import { WebSocketPort } from './web-socket-port.ts';

const PONG_FRAME = encodeTextFrame({ type: 'pong' });

/** RFC 6455 section 7.1.5: the connection ended without a close frame. */
const ABNORMAL_CLOSURE = 1006;

export interface SocketSessionOptions {
  readonly context: ConnectionContext;
  readonly webSocket: WebSocket;
  /** The connection underneath the WebSocket. */
  readonly stream: Duplex;
  readonly listener: Listener;
  /** The cursor that the client gave, null for none. */
  readonly after: string | null;
  /** Messages that it may send in a second, and at once. */
  readonly messagesPerSecondMax: number;
}

/** One accepted socket from the upgrade to its end. */
export class SocketSession {
  readonly #context: ConnectionContext;
  readonly #listener: Listener;
  readonly #connection: Connection;
  readonly #messages: TokenBucket;
  /** Made with the first `auth`. */
  #renewal: TokenRenewal | null = null;

  private constructor({ context, webSocket, stream, listener, after, messagesPerSecondMax }: SocketSessionOptions) {
    this.#context = context;
    this.#listener = listener;
    this.#messages = new TokenBucket(messagesPerSecondMax, () => performance.now());
    const port = new WebSocketPort(webSocket, stream, listener.hasControlFrames);
    this.#connection = openConnection(context, { port, variant: variantOf(listener) }, listener, after);
  }

  /**
   * Every handler is attached before this returns, in the same turn of the event loop as the upgrade: what a client
   * sends right behind its handshake is not lost.
   */
  static start(options: SocketSessionOptions): void {
    const session = new SocketSession(options);
    const { context, webSocket } = options;
    webSocket.on('message', (data, isBinary) => {
      session.#receive(data, isBinary);
    });
    // `ws` answers pings by itself: uncounted, a flood of them would be answered into a connection that nobody reads.
    for (const sign of ['ping', 'pong'] as const) {
      webSocket.on(sign, () => {
        session.#isHeard();
      });
    }
    webSocket.on('error', (error) => {
      // A frame that breaks RFC 6455: `ws` answers with the right code and closes; here it only has to be heard.
      context.log.debug({ err: error }, 'socket error');
    });
    webSocket.on('close', (code) => {
      context.hub.closed(session.#connection, code === 0 ? ABNORMAL_CLOSURE : code);
    });
  }

  /** A sign of life; false if there are too many of them, or if it comes behind our close. */
  #isHeard(): boolean {
    const { hub } = this.#context;
    const connection = this.#connection;
    if (!connection.isOpen) return false;
    hub.heard(connection);
    if (this.#messages.take()) return true;
    sendError(hub, connection, 'too_many_messages', true);
    hub.close(connection, closeCodes.tooManyMessages);
    return false;
  }

  #receive(data: RawData, isBinary: boolean): void {
    const { hub, stats } = this.#context;
    if (!this.#isHeard()) return;
    stats.inbound += 1;
    if (!isBinary && this.#understands(data)) return;
    stats.inboundInvalid += 1;
    hub.close(this.#connection, closeCodes.invalidMessage);
  }

  /** Handles a text message of a client; false if it is none that a client may send. */
  #understands(data: RawData): boolean {
    const { hub } = this.#context;
    const connection = this.#connection;
    // The inherited application read nothing and ignored everything: a client that says something is left alone.
    if (!connection.isResumable) return true;
    const frame = parseClientFrame((data as Buffer).toString('utf8'));
    if (frame === null) return false;
    if (frame.type === 'ping') hub.send(connection, PONG_FRAME);
    if (frame.type === 'auth') {
      this.#renewal ??= new TokenRenewal(this.#context, connection, this.#listener);
      void this.#renewal.renew(frame.access);
    }
    return true;
  }
}
