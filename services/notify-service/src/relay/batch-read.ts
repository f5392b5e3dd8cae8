import { EVENTS_STREAM_NAME } from '@infrasignal/shared';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { StreamMessage } from './stream-message.ts';

/** The first release of nats-server that answers one direct get with many messages. */
const SERVER_MAJOR_MIN = 2;
const SERVER_MINOR_MIN = 11;

const DIRECT_GET_SUBJECT = `$JS.API.DIRECT.GET.${EVENTS_STREAM_NAME}`;

/** Status codes in the header of a message that is no event. */
const NO_MESSAGES = 404;
const END_OF_BATCH = 204;

export interface BatchQuery {
  /** The first position to look at. */
  readonly fromSequence: number;
  /** Only messages on these subjects; null for all. */
  readonly filter: string | null;
  readonly countMax: number;
}

/** True if the server we are connected to can read in batches. */
export function canReadBatches(connection: NatsConnection): boolean {
  const [major = 0, minor = 0] = (connection.info?.version ?? '').split('.').map(Number);
  return major > SERVER_MAJOR_MIN || (major === SERVER_MAJOR_MIN && minor >= SERVER_MINOR_MIN);
}

/**
 * Reads messages in the order of the log with one request. It may bring fewer than there are, never others: ask again
 * behind the last one. (The library's own call leaves a subscription behind each time, and waits for ever for the
 * rest of a batch whose server went away.)
 *
 * @throws Error when nothing came in time, or the server refused
 */
export async function readBatch(
  connection: NatsConnection,
  { fromSequence, filter, countMax }: BatchQuery,
  timeoutMs: number,
): Promise<StreamMessage[]> {
  const query = { seq: fromSequence, batch: countMax, ...(filter === null ? {} : { next_by_subj: filter }) };
  const options = { strategy: 'timer', maxWait: timeoutMs } as const;
  const answers = await connection.requestMany(DIRECT_GET_SUBJECT, JSON.stringify(query), options);
  const messages: StreamMessage[] = [];
  for await (const answer of answers) {
    const status = answer.headers?.code ?? 0;
    if (status === END_OF_BATCH || status === NO_MESSAGES) return messages;
    if (status !== 0) throw new Error(`the broker refused to read a batch: ${status}`);
    messages.push(toStreamMessage(answer));
    // An older server of the same cluster answers with one message, and says nothing of what is left.
    if (answer.headers?.has('Nats-Num-Pending') !== true) return messages;
  }
  if (messages.length === 0) throw new Error('the broker did not answer in time');
  return messages;
}

function toStreamMessage({ headers, data }: Msg): StreamMessage {
  if (headers === undefined) throw new Error('a message was read without its place');
  return {
    subject: headers.get('Nats-Subject'),
    data,
    sequence: Number(headers.get('Nats-Sequence')),
    storedAtMs: Date.parse(headers.get('Nats-Time-Stamp')),
  };
}
