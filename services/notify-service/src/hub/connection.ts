import type { Audience, Frame, HubEvent, SocketPort, Stand, Variant } from './ports.ts';
import type { WheelTimer } from './timing-wheel.ts';

/**
 * joining: registered, what arrives is kept back until the place to continue from is known · live · closing: told to
 * close, gets nothing more · closed: gone.
 */
export type ConnectionState = 'joining' | 'live' | 'closing' | 'closed';

/** The end of the right to listen. */
export interface Expiry {
  /** Milliseconds from now. */
  readonly inMs: number;
  /** Makes what the peer is told shortly before; null for a peer that would not understand. */
  readonly warning: (() => Frame) | null;
}

export interface ConnectionOptions {
  readonly audience: Audience;
  /** The session whose token opened it; null on the public feed. */
  readonly sessionId: string | null;
  readonly variant: Variant;
  readonly port: SocketPort;
  /**
   * True for clients that hold a cursor: in doubt they are closed and come back for what they missed. A client
   * without one is kept, because for it a reconnect is what loses events.
   */
  readonly isResumable: boolean;
  /** When the right to listen ends; null: never. */
  readonly expiry: Expiry | null;
  /** Called once, when the connection is gone. */
  readonly onGone?: (connection: Connection) => void;
}

/** What a joining connection is let in with. */
export interface Admission {
  /** Written before anything else. */
  readonly greeting: Frame;
  /** Where it stands before the replay; 0 if unknown, and on the feed of everything. */
  readonly seq: number;
  /** The broadcast that it has before the replay; at least that of its registration on the feed of everything. */
  readonly broadcastSeq: number;
  /** What it missed, in order. */
  readonly replay: readonly HubEvent[];
  /** The newest `seq` it has after the replay; null: unknown, or the feed of everything. */
  readonly lastSeq: number | null;
  /** On the feed of everything: the position up to which it has seen the log, which may be ahead of this node. */
  readonly seenThrough: number;
}

/** The queue of everybody to whom nothing is due; nobody puts anything into it. */
const NOTHING: Frame[] = [];

/** One socket as the hub sees it. Only the hub changes it. */
export class Connection {
  readonly audience: Audience;
  readonly sessionId: string | null;
  readonly variant: Variant;
  readonly port: SocketPort;
  readonly isResumable: boolean;
  state: ConnectionState;
  /** The newest `seq` this socket has; null while unknown, and always on the feed of everything. */
  lastSeq: number | null = null;
  /** The newest broadcast that this socket has, or that waits to be sent to it; 0 before any. */
  lastBroadcastSeq = 0;
  /** On the feed of everything: the number, on this node, of the next event that it is to be handed. */
  fedThrough = 0;
  /** How often the log of this node had changed when it was opened. */
  openedInLog = 0;
  /** On the feed of everything: the log up to this position is not sent. */
  seenThrough = 0;
  /**
   * On the feed of everything: of each user the newest `seq` that the replay brought; null without a replay. It may have
   * been read in a log that this node had yet to learn of, and reads then. At most as many as one resume may bring.
   */
  replayedSeqs: Map<number, number> | null = null;
  /**
   * Places of the user's log since `lastSeq` that hold no valid event: the next `seq` may jump over as many. Null: some
   * were lost unread, and a message that is no event may be one that the broker stored twice; then no jump is explained.
   */
  skippedSeqs: number | null = 0;
  /** Events that arrived while joining. */
  waiting: HubEvent[] = [];
  /** Control frames that became due while joining: the greeting is the first of all. */
  held: Frame[] = [];
  /** Frames that are due, not yet written. */
  queue: Frame[] = NOTHING;
  queuedBytes = 0;
  /** Bytes on top of the limit: a replay is ours to send at once, not the reader's slowness. */
  allowanceBytes = 0;
  pingTimer: WheelTimer | null = null;
  /** Runs while an answer is awaited: to a ping, or to our closing. */
  deadlineTimer: WheelTimer | null = null;
  expiryTimer: WheelTimer | null = null;
  warningTimer: WheelTimer | null = null;
  readonly onGone: ((connection: Connection) => void) | undefined;

  constructor(options: ConnectionOptions) {
    this.audience = options.audience;
    this.sessionId = options.sessionId;
    this.variant = options.variant;
    this.port = options.port;
    this.isResumable = options.isResumable;
    this.onGone = options.onGone;
    this.state = options.isResumable ? 'joining' : 'live';
  }

  get isOpen(): boolean {
    return this.state === 'joining' || this.state === 'live';
  }

  get stand(): Stand {
    const { audience, lastBroadcastSeq, lastSeq } = this;
    return {
      userId: audience.kind === 'user' ? audience.userId : 0,
      seq: lastSeq ?? 0,
      broadcastSeq: lastBroadcastSeq,
    };
  }

  /** It has its user's events up to this `seq`; on the feed of everything there is no such place. */
  advance(seq: number): void {
    if (this.audience.kind === 'everything') return;
    this.lastSeq = seq;
    this.skippedSeqs = 0;
  }

  /** Puts a frame behind what is due. */
  enqueue(frame: Frame): void {
    // One frame is the usual case. An array that is made to grow takes 150 bytes for it.
    if (this.queue.length === 0) this.queue = [frame];
    else this.queue.push(frame);
    this.queuedBytes += frame.byteLength;
  }

  /** Takes what is due, leaving the queue empty. */
  takeQueue(): readonly Frame[] {
    const frames = this.queue;
    this.queue = NOTHING;
    this.queuedBytes = 0;
    return frames;
  }
}
