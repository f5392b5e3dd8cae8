import {
  encodeFeedCursor,
  encodeOwnCursor,
  sessionRevoked,
  toInheritedNotification,
  toNotification,
  type NotificationFrame,
  type SessionRevokedData,
  type StreamPosition,
} from '@infrasignal/shared';
import type { Frame, HubEvent, Variant } from '../hub/ports.ts';
import type { DecodedEvent } from '../relay/event-decoder.ts';
import { encodeSseFrame } from './sse-frame.ts';
import { encodeTextFrame } from './text-frame.ts';

const NONE: readonly string[] = [];

/** The data was checked against its schema, which is what a definition that is not null says. */
function sessionsEndedBy({ event, definition }: DecodedEvent): readonly string[] {
  return definition === sessionRevoked ? (event.data as SessionRevokedData).session_ids : NONE;
}

/** An event as frames, each form made when the first socket needs it and then shared. */
export class NotificationEvent implements HubEvent {
  readonly userId: number;
  readonly seq: number;
  readonly position: StreamPosition;
  readonly endedSessions: readonly string[];
  readonly #decoded: DecodedEvent;
  #plain: Frame | null | undefined;
  #own: Frame | undefined;
  #feed: Frame | undefined;
  #ownStream: Frame | undefined;
  #feedStream: Frame | undefined;

  constructor(decoded: DecodedEvent) {
    this.userId = decoded.userId;
    this.seq = decoded.event.seq;
    this.position = decoded.position;
    this.endedSessions = sessionsEndedBy(decoded);
    this.#decoded = decoded;
  }

  frame(variant: Variant): Frame | null {
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

  #toOwn(): NotificationFrame {
    return this.#toNotification(encodeOwnCursor(this.userId, this.seq, this.position));
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
