import {
  encodeFeedCursor,
  encodeOwnCursor,
  findEndedSessions,
  toInheritedNotification,
  toNotification,
  type NotificationFrame,
  type StreamPosition,
} from '@infrasignal/shared';
import type { Frame, HubEvent, Stand, Variant } from '../hub/ports.ts';
import type { DecodedEvent } from '../relay/event-decoder.ts';
import { BroadcastEvent } from './broadcast-event.ts';
import { encodeSseFrame } from './sse-frame.ts';
import { encodeTextFrame } from './text-frame.ts';

/** An event of one user. */
type UserEvent = DecodedEvent & { readonly userId: number };

/** What was read, as the hub deals in it. */
export function toHubEvent(decoded: DecodedEvent): HubEvent {
  const { userId } = decoded;
  return userId === null ? new BroadcastEvent(decoded) : new NotificationEvent({ ...decoded, userId });
}

/** An event as frames, each form made when the first socket needs it and then shared. */
export class NotificationEvent implements HubEvent {
  readonly userId: number;
  readonly seq: number;
  readonly position: StreamPosition;
  readonly committedAtMs: number;
  readonly traceparent?: string;
  readonly bytes: number;
  readonly endedSessions: readonly string[];
  readonly #decoded: UserEvent;
  #plain: Frame | null | undefined;
  #own: Frame | undefined;
  /** The place in the log of broadcasts that the owner's frames name: at one moment the same for all of them. */
  #broadcastSeq = 0;
  #feed: Frame | undefined;
  #ownStream: Frame | undefined;
  #feedStream: Frame | undefined;

  constructor(decoded: UserEvent) {
    this.userId = decoded.userId;
    this.seq = decoded.event.seq;
    this.position = decoded.position;
    this.committedAtMs = Date.parse(decoded.event.time);
    if (decoded.event.traceparent !== undefined) this.traceparent = decoded.event.traceparent;
    this.bytes = decoded.bytes;
    this.endedSessions = findEndedSessions(decoded.event);
    this.#decoded = decoded;
  }

  frame(variant: Variant, { broadcastSeq }: Stand): Frame | null {
    if (broadcastSeq !== this.#broadcastSeq) this.#moveTo(broadcastSeq);
    switch (variant) {
      case 'plain':
        this.#plain ??= this.#encodePlain();
        return this.#plain;
      case 'own':
        this.#own ??= encodeTextFrame(this.#toOwn());
        return this.#own;
      case 'feed':
        this.#feed ??= encodeTextFrame(this.#toFeed());
        return this.#feed;
      case 'own-stream':
        this.#ownStream ??= encodeSseFrame(this.#toOwn());
        return this.#ownStream;
      case 'feed-stream':
        this.#feedStream ??= encodeSseFrame(this.#toFeed());
        return this.#feedStream;
    }
  }

  /** Another reader stands elsewhere in the log of broadcasts: it came from another node, or is just joining. */
  #moveTo(broadcastSeq: number): void {
    this.#broadcastSeq = broadcastSeq;
    this.#own = undefined;
    this.#ownStream = undefined;
  }

  #toOwn(): NotificationFrame {
    return this.#toNotification(encodeOwnCursor(this.userId, this.seq, this.position, this.#broadcastSeq));
  }

  #toFeed(): NotificationFrame {
    return this.#toNotification(encodeFeedCursor(this.position));
  }

  #encodePlain(): Frame | null {
    const { userId, event, definition } = this.#decoded;
    const notification = toInheritedNotification(userId, event, definition);
    return notification === null ? null : encodeTextFrame(notification);
  }

  #toNotification(cursor: string): NotificationFrame {
    const { userId, event, definition } = this.#decoded;
    return toNotification(userId, event, definition, cursor);
  }
}
