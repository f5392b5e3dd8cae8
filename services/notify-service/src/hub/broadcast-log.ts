import type { HubEvent } from './ports.ts';

export interface BroadcastLogLimits {
  /** Broadcasts that are held: as many as one resume may bring, for more of them would be replayed to nobody. */
  readonly eventsMax: number;
  /** Bytes that these have in the stream. */
  readonly bytesMax: number;
}

/** How a broadcast stands to those before it. */
export type BroadcastPlace = 'next' | 'repeated' | 'after_a_hole';

/** What came after a place; or why it cannot be told: some of it is gone, or more than may be replayed. */
export type MissedBroadcasts = readonly HubEvent[] | 'evicted' | 'limit';

/**
 * The newest broadcasts, each the successor of the one before. Every node reads all of them, so that who comes back is
 * answered from here, and the broker is not asked once for each of ten thousand sockets that missed the same one.
 */
export class BroadcastLog {
  readonly #limits: BroadcastLogLimits;
  #held: HubEvent[] = [];
  #bytes = 0;
  #newestSeq = 0;
  /** Messages behind the newest that are no events: they explain a jump in the numbers. Null: something was lost, too. */
  #skipped: number | null = 0;
  /** The newest that was let go for the limits; null: none was. */
  #dropped: HubEvent | null = null;
  /** Of broadcasts up to this one it is not known where they are: lost before they were read, or in a log that is no more. */
  #unplacedThrough = 0;
  /** The newest when the log last changed; 0 if it never did. */
  #newestBefore = 0;

  constructor(limits: BroadcastLogLimits) {
    this.#limits = limits;
  }

  /** 0 while none is known. */
  get newestSeq(): number {
    return this.#newestSeq;
  }

  /** Broadcasts that can be replayed. */
  get size(): number {
    return this.#held.length;
  }

  /** Notes the next broadcast of the log; one that was seen before changes nothing. */
  add(event: HubEvent): BroadcastPlace {
    if (event.seq <= this.#newestSeq) return 'repeated';
    // With nothing known, any may be the first: the stream holds those of seven days.
    const isNext = this.#newestSeq === 0 || event.seq <= this.#newestSeq + 1 + (this.#skipped ?? 0);
    if (!isNext) this.#clear();
    this.#newestSeq = event.seq;
    this.#skipped = 0;
    this.#held.push(event);
    this.#bytes += event.bytes;
    while (this.#held.length > this.#limits.eventsMax || this.#bytes > this.#limits.bytesMax) this.#dropOldest();
    return isNext ? 'next' : 'after_a_hole';
  }

  /** A message behind the newest is no event. */
  skip(): void {
    if (this.#skipped !== null) this.#skipped += 1;
  }

  /** Something behind the newest was lost unread. One message that is no event, stored twice, would explain it away. */
  lose(): void {
    this.#skipped = null;
  }

  /** Positions mean something else from now on; numbers do not. */
  logChanged(): void {
    this.#unplacedThrough = this.#newestSeq;
    this.#newestBefore = this.#newestSeq;
  }

  /** True while nothing newer was read than what a log before this one held. */
  get isOfOlderLog(): boolean {
    return this.#newestSeq > 0 && this.#newestSeq === this.#newestBefore;
  }

  /** All that can be told, up to a number, whatever came before it. */
  heldThrough(throughSeq: number): readonly HubEvent[] {
    return this.#held.filter((event) => event.seq <= throughSeq);
  }

  /** What came after a number, up to another one. */
  after(seq: number, throughSeq: number): MissedBroadcasts {
    const missed = this.#held.filter((event) => event.seq > seq && event.seq <= throughSeq);
    const oldest = this.#held[0];
    if (this.#dropped !== null) return this.#dropped.seq > seq ? 'limit' : missed;
    const isWhole = oldest === undefined ? throughSeq <= seq : oldest.seq <= seq + 1;
    return isWhole ? missed : 'evicted';
  }

  /** What came after a position, up to a number. Of that position it must be proved that it is of the log as it is. */
  afterPosition(sequence: number, throughSeq: number): MissedBroadcasts {
    if (this.#unplacedThrough > 0) return 'evicted';
    if (this.#dropped !== null && this.#dropped.position.sequence > sequence) return 'limit';
    return this.#held.filter((event) => event.position.sequence > sequence && event.seq <= throughSeq);
  }

  #clear(): void {
    this.#unplacedThrough = this.#newestSeq;
    this.#held = [];
    this.#bytes = 0;
    this.#dropped = null;
  }

  #dropOldest(): void {
    const oldest = this.#held.shift();
    if (oldest === undefined) return;
    this.#bytes -= oldest.bytes;
    this.#dropped = oldest;
  }
}
