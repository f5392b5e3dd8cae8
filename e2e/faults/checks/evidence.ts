import type { LedgerEntries } from '@infrasignal/testkit';

/** A row of `users`, as far as the checks need it. */
export interface StoredUser {
  readonly id: number;
  readonly phoneNumber: string;
  readonly eventSeq: number;
}

/** A row of `outbox`. */
export interface StoredEvent {
  readonly eventId: string;
  readonly userId: number;
  readonly seq: number;
  readonly type: string;
  readonly phoneNumber: string;
  /** Milliseconds since 1970, by the database's clock. */
  readonly createdAt: number;
  readonly isPublished: boolean;
}

/** A message of the stream. */
export interface StreamEvent {
  /** The broker's own sequence. */
  readonly position: number;
  /** The message id that the broker recognises repeats by. */
  readonly messageId: string;
  readonly eventId: string;
  readonly userId: number;
  readonly seq: number;
  readonly type: string;
}

/** Everything the checks judge by: the ledger from outside, and what the system itself holds at the end. */
export interface Evidence extends LedgerEntries {
  readonly users: readonly StoredUser[];
  readonly outbox: readonly StoredEvent[];
  readonly stream: readonly StreamEvent[];
  /** Ids of events that the scenario itself put into the outbox: no request asked for them. */
  readonly writtenEventIds?: ReadonlySet<string>;
}

/** What a scenario's fault may cost; by default nothing. */
export interface Allowances {
  /** The broker lost its disk: the same event, with one id, may be in the stream again. */
  readonly mayRepeatInStream?: boolean;
  /** A resume may say `recovered: false`. */
  readonly mayLoseRecovery?: boolean;
}

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5';

export interface Violation {
  readonly invariant: Invariant;
  /** What is wrong, with the ids to look it up by. */
  readonly text: string;
}

/** What was seen, in numbers. */
export interface Counts {
  operations: number;
  ok: number;
  failed: number;
  unknown: number;
  events: number;
  connections: number;
  frames: number;
  lost: number;
  repeated: number;
  foreign: number;
  /** Resumes that were answered `recovered: false`. */
  unrecovered: number;
}

/** Finds an event by its place, and tells people about it. */
export class EventIndex {
  readonly #byPlace = new Map<string, StoredEvent>();
  readonly #positions = new Map<string, number[]>();

  constructor({ outbox, stream }: Pick<Evidence, 'outbox' | 'stream'>) {
    for (const event of outbox) this.#byPlace.set(`${event.userId}.${event.seq}`, event);
    for (const { eventId, position } of stream) {
      const positions = this.#positions.get(eventId);
      if (positions === undefined) this.#positions.set(eventId, [position]);
      else positions.push(position);
    }
  }

  find(userId: number, seq: number): StoredEvent | null {
    return this.#byPlace.get(`${userId}.${seq}`) ?? null;
  }

  positionsOf(eventId: string): readonly number[] {
    return this.#positions.get(eventId) ?? [];
  }

  /** For instance `seq 5 (user.login 1f…, committed 10:00:01.123, in the stream at 87)`. */
  describe(userId: number, seq: number): string {
    const event = this.find(userId, seq);
    if (event === null) return `seq ${seq} (not in the outbox)`;
    const positions = this.positionsOf(event.eventId);
    const marked = event.isPublished ? 'marked as published' : 'not marked as published';
    const place = positions.length === 0 ? `not in the stream, ${marked}` : `in the stream at ${positions.join(' and ')}`;
    return `seq ${seq} (${event.type} ${event.eventId}, committed ${formatTime(event.createdAt)}, ${place})`;
  }
}

/** `10:00:01.123`, UTC. */
export function formatTime(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 23);
}

/** Groups by a key, keeping the order within each group. */
export function groupBy<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
