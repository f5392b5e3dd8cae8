import type { CloseCode } from '@infrasignal/shared';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { Frame, SocketPort } from '../hub/ports.ts';
import { encodeTextFrame } from './text-frame.ts';
import { writeTogether } from './write-together.ts';

/** `infrasignal.v1` has a ping of its own, because a page cannot see the protocol's. */
const PING_FRAME = encodeTextFrame({ type: 'ping' });

/**
 * A WebSocket as the hub needs it. Frames are written to the connection underneath as they are: `ws` would make a
 * header for each socket anew. That is safe because compression is off, so `ws` itself never holds anything back.
 */
export class WebSocketPort implements SocketPort {
  readonly #webSocket: WebSocket;
  readonly #stream: Duplex;
  readonly #hasControlFrames: boolean;

  constructor(webSocket: WebSocket, stream: Duplex, hasControlFrames: boolean) {
    this.#webSocket = webSocket;
    this.#stream = stream;
    this.#hasControlFrames = hasControlFrames;
  }

  encode(frame: object): Frame {
    return encodeTextFrame(frame);
  }

  write(frames: readonly Frame[]): void {
    // After a close frame nothing may follow (RFC 6455 section 5.5.1).
    if (this.#webSocket.readyState !== WebSocket.OPEN) return;
    writeTogether(this.#stream, frames);
  }

  bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  probe(): void {
    if (this.#hasControlFrames) this.write([PING_FRAME]);
    else if (this.#webSocket.readyState === WebSocket.OPEN) this.#webSocket.ping();
  }

  close(code: CloseCode): void {
    this.#webSocket.close(code.code, code.reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }
}
