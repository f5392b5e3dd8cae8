/**
 * What a notify node would do at the broker if it asked only for the users that are on it: one connection, one
 * subscription for each user on the subjects that the stream republishes to. Counts what comes. Runs as a process, set
 * by NATS_URL, HOST and PORT.
 */
import { connect, type Subscription } from '@nats-io/transport-node';
import Fastify from 'fastify';

const { NATS_URL = '', HOST, PORT } = process.env;

const broker = await connect({ servers: NATS_URL });
const subscriptions: Subscription[] = [];
let received = 0;

const app = Fastify();

/** Resolves when the broker knows of all of them. */
app.post<{ Body: { firstUserId: number; count: number } }>('/subscribe', async ({ body }) => {
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const callback = (): void => {
    received += 1;
  };
  for (let at = 0; at < body.count; at += 1) {
    subscriptions.push(broker.subscribe(`live.users.${body.firstUserId + at}.>`, { callback }));
  }
  await broker.flush();
  const { user, system } = process.cpuUsage(cpuBefore);
  return { seconds: (performance.now() - startedAt) / 1_000, cpuSeconds: (user + system) / 1e6 };
});

app.post('/unsubscribe', async () => {
  const startedAt = performance.now();
  for (const subscription of subscriptions.splice(0)) subscription.unsubscribe();
  await broker.flush();
  return { seconds: (performance.now() - startedAt) / 1_000 };
});

app.get('/received', () => ({ count: received }));

app.get('/readyz', () => ({}));

app.addHook('onClose', () => broker.close());
process.once('SIGTERM', () => void app.close());

await app.listen({ host: HOST ?? '127.0.0.1', port: Number(PORT) });
