import type { FastifyBaseLogger } from 'fastify';
import type { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import type { Decoded, EventDecoder } from './event-decoder.ts';
import { toLogEntry } from './log-entry.ts';
import type { RecentEvents } from './recent-events.ts';
import type { ReadPlace } from './resume-point.ts';
import type { RelayStats } from './relay-stats.ts';
import type { StreamMessage } from './stream-message.ts';
import type { StreamState } from './stream-reader.ts';

/** Different complaints that are logged, one line each; more would let a broken publisher fill the disk. */
const COMPLAINTS_MAX = 1_000;

export interface StreamFollowerOptions {
  readonly decoder: EventDecoder;
  readonly hub: Pick<Hub, 'publish' | 'skip' | 'skipBroadcast' | 'recallBroadcast' | 'resync' | 'logChanged' | 'newest'>;
  /** Kept in step with the reading. */
  readonly recent: Pick<RecentEvents, 'add' | 'clear'>;
  readonly stats: RelayStats;
  readonly log: FastifyBaseLogger;
}

/** Being made whole after the log changed: until this position is read, old and new events come mixed. */
export interface Recovery {
  readonly fromTimeMs: number | null;
  readonly untilSequence: number;
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** Takes messages in stream order, hands events to the hub, and knows how far it has read. */
export class StreamFollower {
  readonly #options: StreamFollowerOptions;
  readonly #complaints = new Set<string>();
  #place: Writable<ReadPlace> | null = null;
  #recovery: Recovery | null = null;

  constructor(options: StreamFollowerOptions) {
    this.#options = options;
  }

  /** Null before the first start. */
  get place(): ReadPlace | null {
    return this.#place;
  }

  get recovery(): Recovery | null {
    return this.#recovery;
  }

  /** Reading (re)starts behind `last`, which is the newest message of the stream as it is now, if it has any. */
  settle(state: StreamState, readThrough: number, last: StreamMessage | null): void {
    const decoded = last === null ? null : this.#options.decoder.decode(last);
    const isEvent = decoded?.ok === true;
    this.#place = {
      createdAt: state.createdAt,
      readThrough,
      anchor: isEvent ? decoded.event.position : { sequence: 0, eventId: '' },
      anchorStoredAtMs: last?.storedAtMs ?? null,
    };
    this.#recovery = null;
  }

  /** The log is another one: from here on, positions mean something else. */
  startRecovery(state: StreamState, readThrough: number, recovery: Recovery): void {
    const { hub, recent, stats } = this.#options;
    recent.clear();
    if (this.#recovery === null) {
      stats.recoveries += 1;
      hub.logChanged();
    }
    this.#place = {
      createdAt: state.createdAt,
      readThrough,
      anchor: { sequence: 0, eventId: '' },
      anchorStoredAtMs: null,
    };
    this.#recovery = recovery;
  }

  /** A message from before the reading starts: told to nobody, but known to those who resume. */
  recall(message: StreamMessage): void {
    const { decoder, hub, recent } = this.#options;
    const decoded = decoder.decode(message);
    recent.add(toLogEntry(message, decoded));
    const userId = decoded.ok ? decoded.event.userId : decoded.userId;
    if (userId === null) return;
    if (decoded.ok) hub.newest.advance(userId, decoded.event.seq, decoded.event.position);
    else hub.skip(userId);
  }

  /** A message from before the start that was for everybody. */
  recallBroadcast(message: StreamMessage): void {
    const { decoder, hub } = this.#options;
    const decoded = decoder.decode(message);
    if (decoded.ok) hub.recallBroadcast(decoded.event);
    else hub.skipBroadcast();
  }

  /** The next message of the stream. */
  read(message: StreamMessage): void {
    const place = this.#place;
    if (place === null) throw new Error('reading has not been started');
    const { decoder, hub, recent, stats } = this.#options;
    stats.received += 1;
    if (message.sequence > place.readThrough + 1) this.lose(place.readThrough + 1, message.sequence);
    const decoded = decoder.decode(message);
    // Before the hub is told: whoever joins when it has been told finds the event among the recent ones.
    recent.add(toLogEntry(message, decoded));
    // What is no event is read once more when the reading was interrupted right behind it. To count it twice would
    // explain a jump in its user's `seq` that nothing explains.
    const isRepeated = message.sequence <= place.readThrough;
    place.readThrough = message.sequence;
    if (decoded.ok) {
      if (!decoded.isKnown) stats.unknownEvents += 1;
      place.anchor = decoded.event.position;
      place.anchorStoredAtMs = message.storedAtMs;
      hub.publish(decoded.event);
    } else {
      if (place.anchor.eventId === '') place.anchorStoredAtMs = message.storedAtMs;
      this.#refuse(message, decoded, isRepeated);
    }
    if (this.#recovery !== null && message.sequence >= this.#recovery.untilSequence) {
      this.#recovery = null;
      this.#options.log.info({ sequence: message.sequence }, 'caught up with the changed event stream');
    }
  }

  /** The broker has nothing up to this position any more. What of it was not read is lost, and nothing will follow. */
  passOver(throughSequence: number): void {
    const place = this.#place;
    if (place === null || throughSequence <= place.readThrough) return;
    this.lose(place.readThrough + 1, throughSequence + 1);
    place.readThrough = throughSequence;
  }

  /** Positions from `fromSequence` to before `toSequence` are no longer held, and were never read. */
  lose(fromSequence: number, toSequence: number): void {
    // In a recovery the first message comes from anywhere; each user's own counter tells what is missing.
    if (this.#recovery !== null) return;
    const { hub, log, stats } = this.#options;
    stats.losses += 1;
    log.error({ fromSequence, toSequence }, 'events are gone from the stream before they were read');
    hub.resync();
  }

  #refuse({ subject, sequence }: StreamMessage, decoded: Decoded & { ok: false }, isRepeated: boolean): void {
    const { hub, log, stats } = this.#options;
    const { reason, userId } = decoded;
    increment(stats.invalidEvents, reason);
    // In a recovery it may have passed before, and has no number that would tell. Not to count one that is new makes a
    // doubt of the jump behind it, which is settled; to count one twice would hide a loss.
    const isCounted = !isRepeated && this.#recovery === null;
    // Whatever else is no event was for everybody, or on a subject of nobody.
    if (userId !== null && isCounted) hub.skip(userId);
    else if (reason !== 'subject' && isCounted) hub.skipBroadcast();
    const complaint = `${reason} ${subject}`;
    if (this.#complaints.has(complaint) || this.#complaints.size >= COMPLAINTS_MAX) return;
    this.#complaints.add(complaint);
    log.error({ reason, subject, sequence }, 'a message in the event stream is not a valid event, delivered to nobody');
  }
}
