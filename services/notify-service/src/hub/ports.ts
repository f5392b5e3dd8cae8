import type { CloseCode, StreamPosition } from '@infrasignal/shared';

/** Bytes that are ready for the wire. Made once, written to many sockets: nobody may change them. */
export type Frame = Uint8Array;

/**
 * The forms in which one event is sent: the inherited one, one's own with a cursor, and everybody's with a cursor; the
 * last two also as they stand in a stream of server-sent events.
 */
export type Variant = 'plain' | 'own' | 'feed' | 'own-stream' | 'feed-stream';

/** Whose events a connection is sent. */
export type Audience = { readonly kind: 'user'; readonly userId: number } | { readonly kind: 'everything' };

/** Where somebody stands in the two logs that they see, with what they are just sent: what a cursor names. */
export interface Stand {
  /** 0 for whoever has no log of their own. */
  readonly userId: number;
  /** The newest of their own events; 0 while unknown. */
  readonly seq: number;
  /** The newest broadcast; 0 before any. */
  readonly broadcastSeq: number;
}

/** A valid event, in the order of the log. */
export interface HubEvent {
  /** Null: it is for everybody. */
  readonly userId: number | null;
  /** The gapless counter of the user, or of what is for everybody. */
  readonly seq: number;
  readonly position: StreamPosition;
  /** By the clock of the database, in milliseconds since 1970. */
  readonly committedAtMs: number;
  /** The trace of the request that caused it, as W3C Trace Context spells it, if it is known. */
  readonly traceparent?: string;
  /** Bytes of the stored message. */
  readonly bytes: number;
  /** Sessions that end with this event: their sockets hear of it and are closed. */
  readonly endedSessions: readonly string[];
  /**
   * The event in one form, serialised at most once; null when clients of that form are not told of such events.
   * @param stand where its reader stands, with this event
   */
  frame(variant: Variant, stand: Stand): Frame | null;
}

/** What the hub needs of a socket. No method may throw, also not on a socket that is already gone. */
export interface SocketPort {
  /** A control frame as bytes that this peer understands. */
  encode(frame: object): Frame;
  /** Hands frames over in one write. They stay in memory until the peer has read them. */
  write(frames: readonly Frame[]): void;
  /** Bytes handed over that have not left the process. */
  bufferedBytes(): number;
  /** Asks the peer for a sign of life, in the manner of its protocol. */
  probe(): void;
  /** Starts the closing handshake behind what was written. */
  close(code: CloseCode): void;
  /** Drops the connection without asking. */
  terminate(): void;
}

export interface Clock {
  /** Milliseconds that only ever grow; not the time of day. */
  now(): number;
}

/** Runs a function soon, after what is now happening, so that what becomes due meanwhile is sent along. */
export type Schedule = (task: () => void) => void;

/** How long what should be done soon took: the hub knows no time of day, whoever listens does. */
export interface HubTimings {
  /** The event was written to every connection that is told of it, and there is at least one. */
  written(event: HubEvent): void;
  /** The event ended a session, and a connection of it was closed. */
  revoked(event: HubEvent): void;
}
