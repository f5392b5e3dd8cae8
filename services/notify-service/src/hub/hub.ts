import { closeCodes, type CloseCode } from '@infrasignal/shared';
import { BroadcastFanOut } from './broadcast-fan-out.ts';
import { BroadcastLog, type BroadcastLogLimits } from './broadcast-log.ts';
import { Connection, type Admission, type ConnectionOptions, type Expiry } from './connection.ts';
import { ConnectionIndex } from './connection-index.ts';
import { ConnectionTimers, type ConnectionTimersOptions } from './connection-timers.ts';
import { FeedFanOut, type FeedBatch } from './feed-fan-out.ts';
import { createHubStats, increment, type HubStats } from './hub-stats.ts';
import { NewestSequences } from './newest-sequences.ts';
import { placeInLog } from './place-in-log.ts';
import type { Clock, Frame, HubEvent, HubTimings, Schedule } from './ports.ts';
import { RevokedSessions } from './revoked-sessions.ts';
import { SendLoop, type UnsentBytes } from './send-loop.ts';

/** Users whose newest `seq` is remembered, and as many who have none: about 26 MB, 300 different users a second for ten minutes. */
const NEWEST_USERS_MAX = 200_000;

/** Events kept back for one joining socket. A join takes milliseconds; one that takes this many events is given up. */
const WAITING_EVENTS_MAX = 10_000;

export interface HubOptions extends ConnectionTimersOptions {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** Bytes that one socket may leave unread, in this process. */
  readonly queueBytesMax: number;
  /** What is kept of what was for everybody, for those who come back for it. */
  readonly broadcastLimits: BroadcastLogLimits;
  /** How long the end of a session is remembered: until no access token of it can be alive. */
  readonly revocationLifeMs: number;
  /** Told when things were done that should be done soon. */
  readonly timings?: HubTimings;
}

/** Every open socket of this node, and who gets what. README.md beside this file says what it promises. */
export class Hub {
  readonly stats: HubStats = createHubStats();
  /** What passed through this node for everybody. */
  readonly broadcasts: BroadcastLog;
  /** What is known of each user's newest event. */
  readonly newest = new NewestSequences(NEWEST_USERS_MAX);
  readonly #index = new ConnectionIndex();
  readonly #revoked: RevokedSessions;
  readonly #sendLoop: SendLoop;
  readonly #fanOut: BroadcastFanOut;
  readonly #feed: FeedFanOut;
  readonly #timers: ConnectionTimers;
  readonly #options: HubOptions;
  #newestPosition = 0;
  #emptyListeners: (() => void)[] = [];

  constructor(options: HubOptions) {
    const { clock, schedule, timings } = options;
    this.#options = options;
    this.#revoked = new RevokedSessions(clock, options.revocationLifeMs);
    this.#timers = new ConnectionTimers(options, this);
    this.#feed = new FeedFanOut({
      clock,
      connections: this.#index.everything,
      deliver: (connection, event) => {
        const { delivered } = this.stats;
        this.#deliver(connection, event);
        if (this.stats.delivered > delivered) this.#sendLoop.time(event);
      },
      deliverWhole: this.#deliverWhole.bind(this),
    });
    this.#sendLoop = new SendLoop({ clock, schedule, timings, stats: this.stats, feed: this.#feed });
    this.broadcasts = new BroadcastLog(options.broadcastLimits);
    this.#fanOut = new BroadcastFanOut({
      clock,
      schedule,
      connections: this.#index.all,
      deliver: this.#deliverNow.bind(this),
    });
  }

  /** Sockets that are not gone yet, closing ones included. */
  get size(): number {
    return this.#index.size;
  }

  /** Bytes that wait for their readers. Costs as much as there are connections with any. */
  get unsentBytes(): UnsentBytes {
    return this.#sendLoop.unsentBytes;
  }

  /** Those sockets. */
  get connections(): ReadonlySet<Connection> {
    return this.#index.all;
  }

  /** Registers a socket. From this moment no event for it is missed: a resumable one waits for `admit`. */
  open(options: ConnectionOptions): Connection {
    const connection = new Connection(options);
    connection.lastBroadcastSeq = this.broadcasts.newestSeq;
    connection.openedInLog = this.newest.log;
    connection.fedThrough = this.#feed.end;
    this.#index.add(connection);
    this.stats.opened += 1;
    this.#timers.start(connection);
    if (options.expiry !== null) this.renew(connection, options.expiry);
    // The session may have ended between the check of its token and now.
    if (options.sessionId !== null && this.isRevoked(options.sessionId)) {
      this.close(connection, closeCodes.sessionRevoked);
    }
    return connection;
  }

  /** Sets anew when the right to listen ends. */
  renew(connection: Connection, expiry: Expiry): void {
    if (connection.isOpen) this.#timers.renew(connection, expiry);
  }

  /** Ends joining: greeting, replay, then what arrived meanwhile, without what the replay already brought. */
  admit(connection: Connection, admission: Admission): void {
    this.#feed.catchUp(connection);
    if (connection.state !== 'joining') return;
    connection.state = 'live';
    connection.lastSeq = admission.seq === 0 ? null : admission.seq;
    connection.lastBroadcastSeq = admission.broadcastSeq;
    connection.seenThrough = admission.seenThrough;
    if (connection.audience.kind === 'everything' && admission.replay.length > 0) connection.replayedSeqs = new Map();
    const replayed: Frame[] = [];
    let isEnded = false;
    for (const event of admission.replay) {
      if (event.userId !== null) connection.lastSeq = event.seq;
      else connection.lastBroadcastSeq = Math.max(connection.lastBroadcastSeq, event.seq);
      if (event.userId !== null) connection.replayedSeqs?.set(event.userId, event.seq);
      const frame = event.frame(connection.variant, connection.stand);
      if (frame === null) this.stats.untoldDeliveries += 1;
      else replayed.push(frame);
      isEnded = event.endedSessions.includes(connection.sessionId ?? '');
      if (isEnded) break;
    }
    connection.lastSeq = admission.lastSeq;
    this.stats.replayed += replayed.length;
    for (const frame of replayed) connection.allowanceBytes += frame.byteLength;
    for (const frame of [admission.greeting, ...replayed]) this.#enqueue(connection, frame);
    // The broker told of the end of its session before this node read of it.
    if (isEnded) this.close(connection, closeCodes.sessionRevoked);
    const { held, waiting } = connection;
    connection.held = [];
    connection.waiting = [];
    for (const event of waiting) this.#deliverNow(connection, event);
    for (const frame of held) this.#enqueue(connection, frame);
  }

  /** Hands an event to everybody who may see it. The same event may come again: it is dropped. */
  publish(event: HubEvent): void {
    const { delivered } = this.stats;
    this.#tell(event);
    if (this.stats.delivered > delivered) this.#sendLoop.time(event);
    // Behind the delivery, so that a socket hears why it is closed; and also for an event that came before.
    for (const sessionId of event.endedSessions) this.revoke(sessionId, event);
  }

  /** Remembers that a session ended, and closes its sockets. @param by the event that ended it, if it was one */
  revoke(sessionId: string, by?: HubEvent): void {
    this.#revoked.add(sessionId);
    for (const connection of this.#index.ofSession(sessionId)) {
      this.close(connection, closeCodes.sessionRevoked);
      if (by !== undefined) this.#options.timings?.revoked(by);
    }
  }

  /** True if the session ended although its token may say otherwise. */
  isRevoked(sessionId: string): boolean {
    return this.#revoked.has(sessionId);
  }

  #tell(event: HubEvent): void {
    const { userId } = event;
    this.#newestPosition = event.position.sequence;
    if (userId === null) {
      this.#tellEverybody(event);
      return;
    }
    if (!this.newest.advance(userId, event.seq, event.position)) {
      this.stats.repeatedEvents += 1;
      if (this.newest.isOfOlderLog(userId)) this.#resyncNewcomers(event);
      return;
    }
    if (this.#feed.add(event)) this.#sendLoop.wake();
    for (const connection of this.#index.ofUser(userId)) this.#deliver(connection, event);
  }

  #tellEverybody(event: HubEvent): void {
    const place = this.broadcasts.add(event);
    if (place === 'repeated') {
      this.stats.repeatedEvents += 1;
      if (this.broadcasts.isOfOlderLog) this.#resyncNewcomers(event);
      return;
    }
    // One is missing, for everybody alike: who can resume is told what it was, or that it cannot be told.
    if (place === 'after_a_hole') {
      for (const connection of this.#index.all) if (connection.isResumable) this.close(connection, closeCodes.resync);
    }
    // What is due on the feed was published before it.
    this.#feed.catchUpAll();
    this.#fanOut.add(event);
  }

  /**
   * What this node told its sockets before the log changed was published again only now. Readers of everything who came
   * in between were not there then, and their place was before it: they come again for it.
   */
  #resyncNewcomers({ userId, seq }: HubEvent): void {
    for (const connection of this.#index.everything) {
      const isNew = connection.isResumable && connection.openedInLog === this.newest.log;
      const hasIt = userId !== null && seq <= (connection.replayedSeqs?.get(userId) ?? 0);
      if (isNew && !hasIt) this.close(connection, closeCodes.resync);
    }
  }

  /** Notes what was for everybody before this node took anybody in. */
  recallBroadcast(event: HubEvent): void {
    this.broadcasts.add(event);
  }

  /** A place in the log of broadcasts holds nothing that can be delivered. */
  skipBroadcast(): void {
    this.broadcasts.skip();
  }

  /** A place in a user's log holds nothing that can be delivered: the jump in `seq` that follows is no loss. */
  skip(userId: number): void {
    this.newest.skip(userId);
    for (const connection of this.#index.ofUser(userId)) if (connection.skippedSeqs !== null) connection.skippedSeqs += 1;
  }

  /**
   * Events are gone that this node never read. Whoever knows its own `seq` will notice if one was meant for it;
   * whoever does not, and can resume, has to.
   */
  resync(): void {
    this.broadcasts.lose();
    this.newest.lose();
    for (const connection of this.#index.all) {
      connection.skippedSeqs = null;
      if (connection.isResumable && connection.lastSeq === null) this.close(connection, closeCodes.resync);
    }
  }

  /** Positions mean something else from now on. Joins in flight, and places ahead of this node, start over. */
  logChanged(): void {
    this.#feed.catchUpAll();
    this.broadcasts.logChanged();
    this.newest.logChanged();
    for (const connection of this.#index.all) {
      const isAhead = connection.seenThrough > this.#newestPosition;
      connection.seenThrough = 0;
      if (isAhead || connection.state === 'joining') this.close(connection, closeCodes.resync);
    }
  }

  /** A sign of life of the peer. */
  heard(connection: Connection): void {
    if (connection.isOpen) this.#timers.heard(connection);
  }

  /** Sends a control frame, in order with everything else; while joining, it waits for the greeting. */
  send(connection: Connection, frame: Frame): void {
    this.#feed.catchUp(connection);
    if (connection.state === 'joining') connection.held.push(frame);
    else this.#enqueue(connection, frame);
  }

  /** Closes a socket for a reason. It gets nothing more, and is dropped if it does not answer. */
  close(connection: Connection, code: CloseCode): void {
    if (code !== closeCodes.slow) this.#feed.catchUp(connection);
    if (!connection.isOpen) return;
    this.#release(connection);
    // A slow reader's queue is what is being got rid of; everybody else gets what is due first.
    if (code === closeCodes.slow) connection.takeQueue();
    else this.#sendLoop.flush(connection);
    connection.state = 'closing';
    increment(this.stats.closesByCode, code.code);
    connection.port.close(code);
    this.#timers.awaitClose(connection);
  }

  /** The socket is gone, with the peer's close code (1006 without one). */
  closed(connection: Connection, peerCode: number): void {
    if (connection.state === 'closed') return;
    if (connection.isOpen) increment(this.stats.closesByCode, peerCode);
    this.#release(connection);
    connection.state = 'closed';
    this.#sendLoop.forget(connection);
    this.#index.remove(connection);
    connection.onGone?.(connection);
    if (this.size === 0) for (const listener of this.#emptyListeners.splice(0)) listener();
  }

  /** Sends a socket to another node; one that understands it hears first when to come back. */
  sendAway(connection: Connection, farewell: Frame): void {
    if (connection.isResumable) this.send(connection, farewell);
    this.close(connection, closeCodes.goingAway);
  }

  /** Drops whatever is still there. */
  terminateAll(): void {
    for (const connection of this.#index.all) connection.port.terminate();
  }

  /** Resolves when no socket is left. */
  whenEmpty(): Promise<void> {
    return this.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#emptyListeners.push(resolve));
  }

  /** Hands a user's event to a connection, behind what is on its way to it for everybody. */
  #deliver(connection: Connection, event: HubEvent): void {
    this.#fanOut.catchUp(connection);
    this.#deliverNow(connection, event);
  }

  #deliverNow(connection: Connection, event: HubEvent): void {
    if (connection.state === 'joining') {
      if (event.userId === null) connection.lastBroadcastSeq = event.seq;
      if (connection.waiting.length >= WAITING_EVENTS_MAX) this.close(connection, closeCodes.resync);
      else connection.waiting.push(event);
      return;
    }
    if (connection.state !== 'live' || !this.#isNext(connection, event)) return;
    const frame = event.frame(connection.variant, connection.stand);
    if (frame === null) {
      this.stats.untoldDeliveries += 1;
      return;
    }
    this.stats.delivered += 1;
    this.#enqueue(connection, frame);
  }

  /** Hands a connection all that is due on the feed: what is the same for many is written without waiting anywhere. */
  #deliverWhole(connection: Connection, batch: FeedBatch): void {
    // A broadcast that it does not have yet was published before.
    if (!this.#fanOut.isIdle) {
      this.#feed.catchUp(connection);
      return;
    }
    connection.fedThrough = batch.end;
    const shared = batch.framesFor(connection);
    this.stats.untoldDeliveries += shared.untold;
    if (shared.told.length === 0) return;
    this.stats.delivered += shared.told.length;
    if (this.#isWithinLimit(connection, shared.bytes)) this.#sendLoop.writeShared(connection, shared);
    else this.close(connection, closeCodes.slow);
  }

  #isNext(connection: Connection, event: HubEvent): boolean {
    if (event.userId === null) return this.#isNextBroadcast(connection, event);
    const place = placeInLog(connection, event, event.userId);
    if (place === 'repeated') this.stats.repeatedDeliveries += 1;
    else if (place === 'after_a_hole' && connection.isResumable) this.close(connection, closeCodes.resync);
    else connection.advance(event.seq);
    return place !== 'repeated' && connection.isOpen;
  }

  /** Holes are seen where the log is read, but for who came with more than a node that knew of none. */
  #isNextBroadcast(connection: Connection, { seq, position }: HubEvent): boolean {
    const { audience, isResumable, lastBroadcastSeq, seenThrough } = connection;
    const isSeen = audience.kind === 'everything' && position.sequence <= seenThrough;
    const isNext = seq > lastBroadcastSeq && !isSeen;
    const isJump = isResumable && isNext && lastBroadcastSeq > 0 && seq > lastBroadcastSeq + 1;
    if (isJump && this.broadcasts.after(lastBroadcastSeq, seq) === 'evicted') this.close(connection, closeCodes.resync);
    connection.lastBroadcastSeq = Math.max(lastBroadcastSeq, seq);
    if (!isNext) this.stats.repeatedDeliveries += 1;
    return isNext && connection.isOpen;
  }

  #enqueue(connection: Connection, frame: Frame): void {
    if (!connection.isOpen) return;
    connection.enqueue(frame);
    if (this.#isWithinLimit(connection, connection.queuedBytes)) this.#sendLoop.add(connection);
    else this.close(connection, closeCodes.slow);
  }

  #isWithinLimit({ allowanceBytes, port }: Connection, dueBytes: number): boolean {
    return dueBytes + port.bufferedBytes() <= this.#options.queueBytesMax + allowanceBytes;
  }

  /** Takes a connection out of everything that would send to it, and stops its timers. */
  #release(connection: Connection): void {
    this.#index.silence(connection);
    connection.waiting = [];
    connection.held = [];
    this.#timers.stop(connection);
  }
}
