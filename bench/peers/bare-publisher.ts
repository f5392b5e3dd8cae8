/**
 * The ceiling of the relay: messages that are in memory already are published into a stream of the same kind, so many
 * on their way at once, and the last acknowledgement is waited for. No database, no order, no leadership, nothing
 * marked. Runs as a process, set by NATS_URL, STREAM, HOST and PORT; `/load` fills its memory, `/publish` empties it.
 */
import { EVENTS_STREAM } from '@infrasignal/shared';
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import Fastify from 'fastify';

interface Message {
  readonly subject: string;
  readonly text: string;
  readonly msgID: string;
}

const { NATS_URL = '', STREAM = '', HOST, PORT } = process.env;

const broker = await connect({ servers: NATS_URL });
const js = jetstream(broker);
const manager = await jetstreamManager(broker);
await manager.streams.add({ ...EVENTS_STREAM, name: STREAM, subjects: [`${STREAM}.>`], num_replicas: 1 });

let messages: Message[] = [];

/** The same messages as the other side has stored, on subjects of this stream. */
async function load(fromStream: string, fromSequence: number, count: number): Promise<void> {
  messages = [];
  const info = await manager.consumers.add(fromStream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: fromSequence,
    mem_storage: true,
  });
  const consumer = await js.consumers.get(fromStream, info.name);
  for await (const message of await consumer.fetch({ max_messages: count })) {
    const id = message.headers?.get('Nats-Msg-Id') ?? '';
    messages.push({ subject: `${STREAM}.${message.subject}`, text: message.string(), msgID: id });
  }
  await consumer.delete();
}

async function publishAll(inFlightMax: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let message = messages[next++]; message !== undefined; message = messages[next++]) {
      await js.publish(message.subject, message.text, { msgID: message.msgID });
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, work));
}

const app = Fastify();

app.post<{ Body: { stream: string; fromSequence: number; count: number } }>('/load', async ({ body }) => {
  await load(body.stream, body.fromSequence, body.count);
  return { loaded: messages.length };
});

app.post<{ Body: { inFlightMax: number } }>('/publish', async ({ body }) => {
  const startedAt = performance.now();
  await publishAll(body.inFlightMax);
  return { seconds: (performance.now() - startedAt) / 1_000 };
});

app.get('/readyz', () => ({}));

app.addHook('onClose', () => broker.close());
process.once('SIGTERM', () => void app.close());

await app.listen({ host: HOST ?? '127.0.0.1', port: Number(PORT) });
