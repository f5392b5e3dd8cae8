import type { Clock } from '../hub/ports.ts';
import type { EventDecoder } from './event-decoder.ts';
import { toLogEntry, type LogEntry } from './log-entry.ts';
import type { ReadStats } from './read-stats.ts';
import type { RecentEvents } from './recent-events.ts';
import { SharedReads, type ReadClient } from './shared-reads.ts';
import type { StreamMessage } from './stream-message.ts';
import type { StreamReads, StreamState } from './stream-reader.ts';

/**
 * Reads under way. The broker answers 20,000 a second with 32 at once and no more with 500; a few more than that keep
 * it busy over a slower network. Larger only moves the queue from here to the broker, which serves others too.
 */
const IN_FLIGHT_MAX = 64;

/** Of these, one client's: the rest is for the others at any time. Smaller makes a long resume slow on a quiet node. */
const IN_FLIGHT_PER_CLIENT_MAX = 16;

/** Twice the joins of a full node at once. More would be told too late to still help anybody. */
const WAITING_MAX = 50_000;

/** Longer than the broker's worst ordinary pause; then whoever still waits is sent back to come again. */
const WAIT_MS_MAX = 5_000;

/**
 * The broker searches for a user's first message at all, from the beginning of a log of days, for tens of
 * milliseconds of its own time: few such searches at once leave it free for the others.
 */
const SEARCHES_IN_FLIGHT_MAX = 4;

/** Messages per batch. Larger saves little; smaller asks more often. */
const BATCH_COUNT_MAX = 64;

export interface SharedReaderOptions {
  readonly reader: StreamReads;
  readonly decoder: EventDecoder;
  readonly recent: RecentEvents;
  readonly stats: ReadStats;
  readonly clock: Clock;
}

/**
 * The one way in which joins, resumes and pages of the history read the log: from the recent events where they cover
 * it, else from the broker, the same thing once for all who want it, and in fair turns.
 *
 * @throws StreamUnreadableError, ReadRefusedError from every method
 */
export class SharedReader {
  readonly recent: RecentEvents;
  readonly stats: ReadStats;
  readonly #reader: StreamReads;
  readonly #decoder: EventDecoder;
  readonly #reads: SharedReads;
  readonly #searches: SharedReads;

  constructor({ reader, decoder, recent, stats, clock }: SharedReaderOptions) {
    this.recent = recent;
    this.stats = stats;
    this.#reader = reader;
    this.#decoder = decoder;
    const limits = { inFlightPerClientMax: IN_FLIGHT_PER_CLIENT_MAX, waitingMax: WAITING_MAX, waitMsMax: WAIT_MS_MAX };
    const searchLimits = { ...limits, inFlightMax: SEARCHES_IN_FLIGHT_MAX, inFlightPerClientMax: 1 };
    this.#reads = new SharedReads({ ...limits, inFlightMax: IN_FLIGHT_MAX }, clock, stats);
    this.#searches = new SharedReads(searchLimits, clock, stats);
  }

  /** Reads that wait for their turn now. */
  get waiting(): number {
    return this.#reads.waiting + this.#searches.waiting;
  }

  /** Reads that the broker is to answer now. */
  get inFlight(): number {
    return this.#reads.inFlight + this.#searches.inFlight;
  }

  /** The newest message of a user, as of when this was called or, where others asked before, a little earlier. */
  findNewest(client: ReadClient, userId: number): Promise<LogEntry | null> {
    return this.#reads.ask(client, `newest ${userId}`, async () => {
      return this.#toEntry(await this.#reader.findNewestAtLeader(userId));
    });
  }

  /** The newest message for everybody, as of then. */
  findNewestBroadcast(client: ReadClient): Promise<LogEntry | null> {
    return this.#reads.ask(client, 'newest broadcast', async () => {
      return this.#toEntry(await this.#reader.findNewestBroadcastAtLeader());
    });
  }

  /** The message at a position; null when none is held there. */
  findAt(client: ReadClient, sequence: number): Promise<LogEntry | null> {
    const known = this.recent.find(sequence);
    this.noteLookUp(known !== null);
    if (known !== null) return Promise.resolve(known);
    return this.#reads.ask(client, `at ${sequence}`, async () => {
      return this.#toEntry((await this.#reader.findAt(sequence)) ?? (await this.#reader.findAtLeader(sequence)));
    });
  }

  /** A user's messages from a position on, in order: at least the next one, unless none is held. */
  findOfUser(client: ReadClient, userId: number, fromSequence: number): Promise<readonly LogEntry[]> {
    const known = this.recent.covers(fromSequence) ? [...this.recent.ofUser(userId, fromSequence)] : [];
    this.noteLookUp(known.length > 0);
    if (known.length > 0) return Promise.resolve(known);
    const reads = fromSequence <= 1 ? this.#searches : this.#reads;
    return reads.ask(client, `user ${userId} ${fromSequence}`, () => this.#readOfUser(userId, fromSequence));
  }

  /** What is at so many positions, all of them; null when one of them is not held. */
  async findRange(client: ReadClient, fromSequence: number, count: number): Promise<readonly LogEntry[] | null> {
    const batch = await this.#readRange(client, fromSequence, count);
    const find = async (sequence: number): Promise<LogEntry | null> =>
      batch.get(sequence) ?? this.findAt(client, sequence);
    const entries = await Promise.all(Array.from({ length: count }, (_, at) => find(fromSequence + at)));
    const held = entries.filter((entry) => entry !== null);
    return held.length === count ? held : null;
  }

  /** Asked of the leader, and not shared: for rare questions. */
  getState(): Promise<StreamState> {
    return this.#reader.getState();
  }

  async #readOfUser(userId: number, fromSequence: number): Promise<readonly LogEntry[]> {
    if (this.#reader.readsBatches) {
      const batch = await this.#reader.readBatch(userId, fromSequence, BATCH_COUNT_MAX);
      if (batch.length > 0) return batch.map((message) => this.#decode(message));
    } else {
      const next = await this.#reader.findNext(userId, fromSequence);
      if (next !== null) return [this.#decode(next)];
    }
    // That there is none takes something away from a client: a replica that lags behind must not say it.
    const message = await this.#reader.findNextAtLeader(userId, fromSequence);
    return message === null ? [] : [this.#decode(message)];
  }

  /** As much of a stretch as one request brings, by position; nothing where single reads are the way. */
  async #readRange(client: ReadClient, fromSequence: number, count: number): Promise<Map<number, LogEntry>> {
    if (count === 1 || !this.#reader.readsBatches || this.recent.covers(fromSequence)) return new Map();
    const entries = await this.#reads.ask(client, `range ${fromSequence} ${count}`, async () => {
      const batch = await this.#reader.readBatch(null, fromSequence, count);
      return batch.map((message) => this.#decode(message));
    });
    return new Map(entries.map((entry) => [entry.sequence, entry]));
  }

  #toEntry(message: StreamMessage | null): LogEntry | null {
    return message === null ? null : this.#decode(message);
  }

  #decode(message: StreamMessage): LogEntry {
    return toLogEntry(message, this.#decoder.decode(message));
  }

  /** Counts whether something was found among the recent events. */
  noteLookUp(isFound: boolean): void {
    if (isFound) this.stats.recentHits += 1;
    else this.stats.recentMisses += 1;
  }
}
