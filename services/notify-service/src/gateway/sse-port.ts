import { shouldReconnect, type CloseCode, type ClosedFrame } from '@infrasignal/shared';
import type { ServerResponse } from 'node:http';
import type { Frame, SocketPort } from '../hub/ports.ts';
import { encodeSseFrame, HEARTBEAT } from './sse-frame.ts';
import { writeTogether } from './write-together.ts';

/** A stream of server-sent events as the hub needs it. */
export class SsePort implements SocketPort {
  readonly #response: ServerResponse;
  readonly #onProbed: () => void;

  /**
   * @param onProbed called when a heartbeat has left this process: nobody answers one, so that its peer takes what it
   * is sent is all that can be known of it
   */
  constructor(response: ServerResponse, onProbed: () => void) {
    this.#response = response;
    this.#onProbed = onProbed;
  }

  encode(frame: object): Frame {
    return encodeSseFrame(frame);
  }

  write(frames: readonly Frame[]): void {
    if (!this.#isWritable()) return;
    writeTogether(this.#response, frames);
  }

  bufferedBytes(): number {
    return this.#response.writableLength;
  }

  probe(): void {
    if (!this.#isWritable()) return;
    this.#response.write(HEARTBEAT, (error) => {
      if (error == null) this.#onProbed();
    });
  }

  /** The last event says why; a stream has no close code. */
  close(code: CloseCode): void {
    if (!this.#isWritable()) return;
    const { code: number, reason } = code;
    const frame: ClosedFrame = { type: 'closed', code: number, reason, reconnect: shouldReconnect(number) };
    this.#response.end(encodeSseFrame(frame));
  }

  terminate(): void {
    this.#response.destroy();
  }

  #isWritable(): boolean {
    return !this.#response.writableEnded && !this.#response.destroyed;
  }
}
