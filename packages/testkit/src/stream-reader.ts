import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

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

/** Reads everything that is in a stream now, in the stream's order, and leaves nothing behind in the broker. */
export async function readStream<Data = unknown>(options: ReadStreamOptions): Promise<StreamMessage<Data>[]> {
  const connection = await connect({ servers: options.url.split(','), reconnect: false });
  try {
    const manager = await jetstreamManager(connection);
    await manager.streams.info(options.stream); // a missing stream is an error, not an empty answer
    const consumer = await jetstream(connection).consumers.get(options.stream, {
      deliver_policy: DeliverPolicy.All,
      ...(options.subject === undefined ? {} : { filter_subjects: [options.subject] }),
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
    return messages;
  } finally {
    await connection.close();
  }
}
