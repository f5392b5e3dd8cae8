import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';

export interface ReadStreamOptions {
  /** URL of the broker; of a cluster, several, comma-separated. */
  url: string;
  /** Name of the stream, for instance `EVENTS`. */
  stream: string;
  /** Only these subjects (wildcards allowed); default all. */
  subject?: string;
}

export interface StreamMessage<Data = unknown> {
  subject: string;
  /** The broker's own sequence in the stream. */
  sequence: number;
  /** When the broker stored it. */
  time: Date;
  /** Header names as sent, each with its values. */
  headers: Record<string, string[]>;
  /** The body read as JSON. */
  data: Data;
}

/** Consumers, one after the other: in a cluster one lives on a copy of the stream, and that may be behind. */
const CONSUMERS_MAX = 20;

/** Reads everything that is in a stream now, in the stream's order, and leaves nothing behind in the broker. */
export async function readStream<Data = unknown>(options: ReadStreamOptions): Promise<StreamMessage<Data>[]> {
  const connection = await connect({ servers: options.url.split(','), reconnect: false });
  try {
    const manager = await jetstreamManager(connection);
    // The leader says where it ends. A missing stream is an error, not an empty answer.
    const { state } = await manager.streams.info(options.stream);
    for (let consumers = 1; ; consumers += 1) {
      const messages = await readWithConsumer<Data>(connection, options);
      const isWhole = options.subject !== undefined || (messages.at(-1)?.sequence ?? 0) >= state.last_seq;
      if (isWhole || state.messages === 0) return messages;
      if (consumers === CONSUMERS_MAX) throw new Error(`${options.stream} could not be read to its end`);
    }
  } finally {
    await connection.close();
  }
}

async function readWithConsumer<Data>(
  connection: NatsConnection,
  { stream, subject }: ReadStreamOptions,
): Promise<StreamMessage<Data>[]> {
  const consumer = await jetstream(connection).consumers.get(stream, {
    deliver_policy: DeliverPolicy.All,
    ...(subject === undefined ? {} : { filter_subjects: [subject] }),
  });
  const messages: StreamMessage<Data>[] = [];
  const { num_pending: pending } = await consumer.info();
  if (pending === 0) return messages;
  const incoming = await consumer.consume();
  for await (const message of incoming) {
    const headers: Record<string, string[]> = {};
    for (const [name, values] of message.headers ?? []) headers[name] = values;
    messages.push({
      subject: message.subject,
      sequence: message.seq,
      time: message.time,
      headers,
      data: message.json<Data>(),
    });
    if (message.info.pending === 0) break;
  }
  await consumer.delete();
  return messages;
}
