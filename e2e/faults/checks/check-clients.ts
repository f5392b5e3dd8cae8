import type { ClientRecord, ConnectionRecord, ReceivedFrame } from '@infrasignal/testkit';
import {
  formatTime,
  groupBy,
  type Allowances,
  type Counts,
  type EventIndex,
  type Evidence,
  type Violation,
} from './evidence.ts';

type Frame = ReceivedFrame['body'];

/** Where a client stands: the newest `seq` it was told of, per user. */
interface Position {
  readonly newest: Map<number, number>;
  /** Unknown users start here: 0 for a feed (from their first event on), null while nothing is known. */
  firstConnectedAt: number | null;
}

export interface ClientChecks {
  readonly evidence: Evidence;
  readonly index: EventIndex;
  readonly allowances: Allowances;
  readonly counts: Counts;
}

/**
 * I1, I2, I4 as a client sees them: over all its connections each event of its user once, `seq` rising without a hole,
 * the last one included, and nothing of anybody else.
 */
export function* checkClient(client: ClientRecord, checks: ClientChecks): Generator<Violation> {
  const position: Position = { newest: new Map(), firstConnectedAt: null };
  for (const [at, connection] of client.connections.entries()) {
    checks.counts.connections += 1;
    const where = describeConnection(client, at, connection);
    for (const { at: receivedAt, body } of connection.frames) {
      if (body.type === 'connected') {
        position.firstConnectedAt ??= receivedAt;
        yield* checkConnected(client, connection, body, position, where, checks);
      } else if (typeof body.seq === 'number' && typeof body.user_id === 'number') {
        yield* checkNotification(client, body, receivedAt, position, where, checks);
      }
    }
  }
  yield* client.userId === null
    ? checkFeedIsWhole(client, position, checks)
    : checkNothingIsMissing(client, client.userId, position, checks);
}

function* checkConnected(
  client: ClientRecord,
  connection: ConnectionRecord,
  body: Frame,
  position: Position,
  where: string,
  { counts, allowances }: ClientChecks,
): Generator<Violation> {
  const isFirst = !client.connections.some(
    (other) => other.startedAt < connection.startedAt && other.frames.some(({ body: { type } }) => type === 'connected'),
  );
  if (client.userId !== null && body.user_id !== client.userId) {
    counts.foreign += 1;
    yield { invariant: 'I4', text: `${where}: connected as user ${String(body.user_id)}` };
  }
  const seq = typeof body.seq === 'number' ? body.seq : null;
  if (isFirst) {
    if (client.userId !== null && seq !== null) position.newest.set(client.userId, seq);
    return;
  }
  // A client that asked to continue and was told that it cannot starts anew; one that did not ask has no excuse.
  if (body.recovered !== false || connection.after === null) return;
  counts.unrecovered += 1;
  if (client.userId !== null && seq !== null) position.newest.set(client.userId, seq);
  else position.newest.clear();
  if (allowances.mayLoseRecovery === true) return;
  yield { invariant: 'I2', text: `${where}: not recovered (${String(body.reason)}) from ${connection.after}` };
}

function* checkNotification(
  client: ClientRecord,
  body: Frame,
  receivedAt: number,
  { newest }: Position,
  where: string,
  { counts, index }: ClientChecks,
): Generator<Violation> {
  counts.frames += 1;
  const [userId, seq] = [Number(body.user_id), Number(body.seq)];
  const what = `${where} received at ${formatTime(receivedAt)} of user ${userId} ${index.describe(userId, seq)}`;
  if (client.userId !== null && userId !== client.userId) {
    counts.foreign += 1;
    yield { invariant: 'I4', text: what };
    return;
  }
  const event = index.find(userId, seq);
  if (event?.eventId !== body.id || event?.type !== body.type || event?.phoneNumber !== findPhoneNumber(body)) {
    yield { invariant: 'I3', text: `${what}, which is not what it says: ${JSON.stringify(body)}` };
  }
  const last = newest.get(userId);
  if (last !== undefined && seq <= last) {
    counts.repeated += 1;
    yield { invariant: 'I2', text: `${what} again: it had ${last} already` };
    return;
  }
  newest.set(userId, seq);
  if (last === undefined || seq === last + 1) return;
  counts.lost += seq - last - 1;
  const missing = Array.from({ length: seq - last - 1 }, (_, at) => index.describe(userId, last + 1 + at));
  yield { invariant: 'I2', text: `${what} right after seq ${last}; lost: ${missing.join(', ')}` };
}

/** In the inherited form beside the type; in what its node cannot interpret, in the data; null in neither. */
function findPhoneNumber({ phone_number: phoneNumber, data }: Frame): unknown {
  return phoneNumber ?? (data as Frame | undefined)?.phone_number ?? null;
}

function* checkNothingIsMissing(
  client: ClientRecord,
  userId: number,
  { newest, firstConnectedAt }: Position,
  { counts, index, evidence }: ClientChecks,
): Generator<Violation> {
  const last = newest.get(userId);
  if (firstConnectedAt === null || last === undefined) {
    yield { invariant: 'I1', text: `${client.name} never got connected: ${describeEnd(client)}` };
    return;
  }
  const eventSeq = evidence.users.find(({ id }) => id === userId)?.eventSeq ?? 0;
  if (last >= eventSeq) return;
  counts.lost += eventSeq - last;
  const missing = Array.from({ length: eventSeq - last }, (_, at) => index.describe(userId, last + 1 + at));
  yield {
    invariant: 'I1',
    text: `${client.name} (user ${userId}) never received ${missing.join(', ')}; its end: ${describeEnd(client)}`,
  };
}

/** A feed has no single counter: everything that was committed after it was connected has to have come. */
function* checkFeedIsWhole(
  client: ClientRecord,
  { firstConnectedAt }: Position,
  { counts, index, evidence }: ClientChecks,
): Generator<Violation> {
  if (firstConnectedAt === null) {
    yield { invariant: 'I1', text: `${client.name} never got connected: ${describeEnd(client)}` };
    return;
  }
  const received = new Set(client.connections.flatMap(({ frames }) => frames.map(({ body }) => body.id)));
  const missing = evidence.outbox.filter((row) => row.createdAt > firstConnectedAt && !received.has(row.eventId));
  counts.lost += missing.length;
  for (const [userId, rows] of groupBy(missing, (row) => row.userId)) {
    const list = rows.map((row) => index.describe(userId, row.seq)).join(', ');
    yield { invariant: 'I1', text: `${client.name} (feed) never received of user ${userId}: ${list}` };
  }
}

function describeConnection(client: ClientRecord, at: number, { after, startedAt }: ConnectionRecord): string {
  const from = after === null ? 'from now on' : `after ${after}`;
  return `${client.name}, connection ${at + 1} (${formatTime(startedAt)}, ${from})`;
}

function describeEnd({ connections }: ClientRecord): string {
  const last = connections.at(-1);
  if (last === undefined) return 'no connection was tried';
  const end = last.closedAt === null ? 'open' : `closed with ${last.closeCode ?? '?'} at ${formatTime(last.closedAt)}`;
  return `connection ${connections.length} ${end}${last.refusal === null ? '' : `, ${last.refusal}`}`;
}
