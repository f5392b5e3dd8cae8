import { EVENTS_STREAM_NAME } from '@infrasignal/shared/plain';
import { readStream, type TestStack } from '@infrasignal/testkit';
import { formatTime, groupBy, type Violation } from './checks/evidence.ts';

interface MarkedEvent extends Record<string, unknown> {
  readonly eventId: string;
  readonly userId: number;
  readonly seq: number;
  readonly markedAt: number;
}

/** Broker and database read one clock; it may be corrected by a little between the one's look at it and the other's. */
const CLOCK_TOLERANCE_MS = 25;

/**
 * What a broker acknowledged it stored before it was acknowledged. A message that is missing, or younger than the mark
 * that its row got for the acknowledgement, was lost: if it is there, the relay brought it back. And a broker that lost
 * nothing has everything once.
 */
export async function checkBrokerLostNothing({ database, nats }: TestStack): Promise<Violation[]> {
  const marked = await database.query<MarkedEvent>(
    `select event_id as "eventId", user_id::float8 as "userId", seq::float8 as seq,
       (extract(epoch from published_at) * 1000)::float8 as "markedAt"
     from (select * from outbox union all select * from deleted_outbox) as events where published_at is not null`,
  );
  const messages = await readStream({ url: nats.url, stream: EVENTS_STREAM_NAME });
  const messagesById = groupBy(messages, ({ headers }) => headers['Nats-Msg-Id']?.[0]);
  const violations: Violation[] = [];
  for (const { eventId, userId, seq, markedAt } of marked) {
    const [first, second] = messagesById.get(eventId) ?? [];
    const what = `user ${userId}: seq ${seq} (${eventId}), acknowledged at ${formatTime(markedAt)},`;
    if (first === undefined || first.time.getTime() > markedAt + CLOCK_TOLERANCE_MS) {
      const since = first === undefined ? 'is not in the stream' : `is in the stream since ${formatTime(first.time.getTime())}`;
      violations.push({ invariant: 'I1', text: `${what} was lost by the broker: it ${since}` });
    }
    if (second !== undefined) {
      const positions = `${first?.sequence} and ${second.sequence}`;
      violations.push({ invariant: 'I1', text: `${what} is twice in the stream of a broker that had it: at ${positions}` });
    }
  }
  return violations;
}
