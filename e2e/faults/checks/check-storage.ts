import type { Operation } from '@infrasignal/testkit';
import {
  formatTime,
  groupBy,
  type Allowances,
  type EventIndex,
  type Evidence,
  type StoredEvent,
  type Violation,
} from './evidence.ts';

/**
 * Two clocks of one machine: the ledger's starts from the wall clock and then follows the monotonic one, so they part
 * by a few milliseconds when the wall clock is corrected. Operations of one user are further apart than this.
 */
const CLOCK_TOLERANCE_MS = 25;

const TYPE_OF_KIND = { register: 'user.registered', login: 'user.login' } as const;

/** I1, I3: every user's outbox is 1, 2, 3 … up to `event_seq`, and no row is without its user. */
export function* checkOutbox({ users, outbox }: Evidence, index: EventIndex): Generator<Violation> {
  const rowsByUser = groupBy(outbox, (row) => row.userId);
  for (const { id, eventSeq } of users) {
    const seqs = new Set(rowsByUser.get(id)?.map((row) => row.seq));
    rowsByUser.delete(id);
    const missing: number[] = [];
    for (let seq = 1; seq <= eventSeq; seq += 1) if (!seqs.delete(seq)) missing.push(seq);
    if (missing.length > 0) {
      yield {
        invariant: 'I1',
        text: `user ${id}: event_seq is ${eventSeq}, but the outbox has no row for seq ${missing.join(', ')}`,
      };
    }
    if (seqs.size > 0) {
      yield { invariant: 'I3', text: `user ${id}: event_seq is ${eventSeq}, yet the outbox has seq ${[...seqs].join(', ')}` };
    }
  }
  for (const [userId, rows] of rowsByUser) {
    const list = rows.map((row) => index.describe(userId, row.seq)).join('; ');
    yield { invariant: 'I3', text: `user ${userId} does not exist, yet the outbox has of it: ${list}` };
  }
}

/**
 * I1, I3: every operation that was answered with success has one event of its own, committed between request and
 * answer; every other event belongs to an operation whose outcome is unknown. Needs at most one operation of a user
 * at a time.
 */
export function* checkOperations(evidence: Evidence, index: EventIndex): Generator<Violation> {
  const { operations, users, writtenEventIds } = evidence;
  const outbox = evidence.outbox.filter(({ eventId }) => writtenEventIds?.has(eventId) !== true);
  const userIds = new Map(users.map((user) => [user.phoneNumber, user.id]));
  const rowsByUser = groupBy(outbox, (row) => row.userId);
  for (const [phoneNumber, ofAccount] of groupBy(operations, (operation) => operation.phoneNumber)) {
    const userId = userIds.get(phoneNumber);
    if (userId === undefined) {
      for (const operation of ofAccount.filter(({ outcome }) => outcome === 'ok')) {
        yield { invariant: 'I1', text: `${describeOperation(operation)} was answered with success, but there is no such user` };
      }
      continue;
    }
    yield* matchOperations(ofAccount, rowsByUser.get(userId) ?? [], userId, index);
    rowsByUser.delete(userId);
  }
  for (const [userId, rows] of rowsByUser) {
    for (const row of rows) {
      yield { invariant: 'I3', text: `user ${userId}: ${index.describe(userId, row.seq)} was asked for by nobody` };
    }
  }
}

function* matchOperations(
  operations: readonly Operation[],
  rows: readonly StoredEvent[],
  userId: number,
  index: EventIndex,
): Generator<Violation> {
  const unmatched = [...rows].sort((a, b) => a.seq - b.seq);
  const take = (operation: Operation, until: number): StoredEvent | undefined => {
    const at = unmatched.findIndex(
      ({ type, createdAt }) =>
        type === TYPE_OF_KIND[operation.kind] &&
        createdAt >= operation.startedAt - CLOCK_TOLERANCE_MS &&
        createdAt <= until + CLOCK_TOLERANCE_MS,
    );
    return at < 0 ? undefined : unmatched.splice(at, 1)[0];
  };
  for (const operation of operations.filter(({ outcome }) => outcome === 'ok')) {
    if (operation.userId !== userId) {
      yield { invariant: 'I1', text: `${describeOperation(operation)} named user ${operation.userId}, the database ${userId}` };
    }
    if (take(operation, operation.endedAt ?? Infinity) === undefined) {
      yield { invariant: 'I1', text: `user ${userId}: ${describeOperation(operation)} succeeded, but no event was committed for it` };
    }
  }
  for (const operation of operations.filter(({ outcome }) => outcome === 'unknown')) take(operation, Infinity);
  for (const row of unmatched) {
    yield { invariant: 'I3', text: `user ${userId}: ${index.describe(userId, row.seq)} belongs to no operation that may have succeeded` };
  }
}

/** I1, I2, I3: every row has its one message with its id, the messages of a user rise by one, and none is without a row. */
export function* checkStream(evidence: Evidence, index: EventIndex, allowances: Allowances): Generator<Violation> {
  for (const row of evidence.outbox) {
    const positions = index.positionsOf(row.eventId);
    if (positions.length === 0) {
      yield { invariant: 'I1', text: `user ${row.userId}: ${index.describe(row.userId, row.seq)} never reached the broker` };
    } else if (positions.length > 1 && allowances.mayRepeatInStream !== true) {
      yield {
        invariant: 'I1',
        text: `user ${row.userId}: ${index.describe(row.userId, row.seq)} is in the stream ${positions.length} times`,
      };
    } else if (!row.isPublished) {
      yield { invariant: 'I1', text: `user ${row.userId}: ${index.describe(row.userId, row.seq)} was never marked as published` };
    }
  }
  const newest = new Map<number, number>();
  for (const message of evidence.stream) {
    const { userId, seq, position } = message;
    yield* compareWithRow(message, index.find(userId, seq));
    const last = newest.get(userId) ?? 0;
    if (seq !== last + 1 && allowances.mayRepeatInStream !== true) {
      yield { invariant: 'I2', text: `user ${userId}: seq ${seq} follows seq ${last} in the stream, at ${position}` };
    }
    newest.set(userId, seq);
  }
}

function* compareWithRow(message: Evidence['stream'][number], row: StoredEvent | null): Generator<Violation> {
  const { userId, seq, position, eventId, messageId, type } = message;
  if (row === null) {
    yield { invariant: 'I3', text: `user ${userId}: the stream has seq ${seq} (${type} ${eventId}) at ${position}, the outbox has not` };
  } else if (row.eventId !== eventId || messageId !== eventId || row.type !== type) {
    yield {
      invariant: 'I3',
      text:
        `user ${userId}: seq ${seq} is ${row.type} ${row.eventId} in the outbox, but ${type} ${eventId} ` +
        `(message id ${messageId}) in the stream at ${position}`,
    };
  }
}

function describeOperation({ kind, phoneNumber, startedAt, note }: Operation): string {
  return `${kind} of ${phoneNumber} at ${formatTime(startedAt)} (${note})`;
}
