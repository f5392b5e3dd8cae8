import {
  encodeFeedCursor,
  encodeOwnCursor,
  toBroadcast,
  toInheritedNotification,
  type BroadcastFrame,
  type StreamPosition,
} from '@infrasignal/shared';
import type { Frame, HubEvent, Stand, Variant } from '../hub/ports.ts';
import type { DecodedEvent } from '../relay/event-decoder.ts';
import { encodeJoinedSseFrame, encodeSseFrame } from './sse-frame.ts';
import { encodeJoinedTextFrame, encodeTextFrame } from './text-frame.ts';

/**
 * What is for everybody, as frames. A cursor says where its owner stands in their own log too, so each owner's frame
 * begins with a cursor of its own; the rest is serialised once. On the feed of everything, and in the inherited form,
 * all is the same for all.
 */
export class BroadcastEvent implements HubEvent {
  readonly userId = null;
  readonly seq: number;
  readonly position: StreamPosition;
  readonly committedAtMs: number;
  readonly traceparent?: string;
  readonly bytes: number;
  readonly endedSessions: readonly string[] = [];
  readonly #decoded: DecodedEvent;
  #plain: Frame | null | undefined;
  #feed: Frame | undefined;
  #feedStream: Frame | undefined;
  /** Everything behind the cursor. */
  #rest: Uint8Array | undefined;

  constructor(decoded: DecodedEvent) {
    this.seq = decoded.event.seq;
    this.position = decoded.position;
    this.committedAtMs = Date.parse(decoded.event.time);
    if (decoded.event.traceparent !== undefined) this.traceparent = decoded.event.traceparent;
    this.bytes = decoded.bytes;
    this.#decoded = decoded;
  }

  frame(variant: Variant, stand: Stand): Frame | null {
    switch (variant) {
      case 'plain':
        this.#plain ??= this.#encodePlain();
        return this.#plain;
      case 'feed':
        this.#feed ??= encodeTextFrame(this.#toFeed());
        return this.#feed;
      case 'feed-stream':
        this.#feedStream ??= encodeSseFrame(this.#toFeed());
        return this.#feedStream;
      case 'own':
        return encodeJoinedTextFrame(this.#cursorFor(stand), this.#encodeRest());
      case 'own-stream':
        return encodeJoinedSseFrame(this.#cursorFor(stand), this.#encodeRest());
    }
  }

  #cursorFor({ userId, seq }: Stand): string {
    return encodeOwnCursor(userId, seq, this.position, this.seq);
  }

  #toFeed(): BroadcastFrame {
    const { event, definition } = this.#decoded;
    return { ...toBroadcast(event, definition), cursor: encodeFeedCursor(this.position) };
  }

  #encodeRest(): Uint8Array {
    const { event, definition } = this.#decoded;
    this.#rest ??= Buffer.from(JSON.stringify(toBroadcast(event, definition)).slice(1));
    return this.#rest;
  }

  #encodePlain(): Frame | null {
    const { event, definition } = this.#decoded;
    const notification = toInheritedNotification(null, event, definition);
    return notification === null ? null : encodeTextFrame(notification);
  }
}
