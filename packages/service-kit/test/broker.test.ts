// If this breaks, a service does not start without its broker, or never finds it again after a restart.
import { startFaultProxy, startTestNats, waitFor } from '@infrasignal/testkit';
import Fastify, { type FastifyBaseLogger } from 'fastify';
import t from 'tap';
import { Broker } from '../src/index.ts';

const { log }: { log: FastifyBaseLogger } = Fastify({ logger: false });

t.test('a broker is found, lost and found again, and the listeners are told each time', async (t) => {
  const nats = await startTestNats(t);
  const broker = new Broker({ url: nats.url, name: 'test', log });
  t.teardown(() => broker.close());
  const story: string[] = [];
  broker.onConnected(() => story.push('connected'));
  broker.onDisconnected(() => story.push('disconnected'));
  const silent = broker.onConnected(() => story.push('not me'));
  silent();
  t.equal(broker.connection, null, 'not yet');
  await waitFor(() => broker.connection !== null);
  broker.onConnected(() => story.push('late, but told'));
  t.same(story, ['connected', 'late, but told']);

  story.length = 0;
  await nats.kill();
  await waitFor(() => broker.connection === null);
  t.same(story, ['disconnected']);
  await nats.restart();
  await waitFor(() => broker.connection !== null);
  t.same(story, ['disconnected', 'connected', 'late, but told']);
  t.type(await broker.connection!.rtt(), 'number', 'and it answers');

  story.length = 0;
  await broker.close();
  t.equal(broker.connection, null);
  t.same(story, ['disconnected']);
  await broker.close(); // closing twice is closing
});

t.test('F3 a broker that dies while it is greeting costs one attempt, and is announced once when it is back', async (t) => {
  const nats = await startTestNats(t);
  const real = await startFaultProxy(t, { port: nats.port });
  const broker = new Broker({ url: `nats://127.0.0.1:${real.port}`, name: 'test', log });
  t.teardown(() => broker.close());
  const story: string[] = [];
  broker.onConnected(() => story.push('connected'));
  broker.onDisconnected(() => story.push('disconnected'));
  await waitFor(() => story.length === 1);

  let deaths = 0;
  real.setRule((chunk) => {
    if (!chunk.includes('CONNECT ')) return 'forward';
    // The greeting was sent and is being answered: at this moment the server is gone.
    deaths += 1;
    real.setRule(null);
    real.cut();
    return 'hold';
  });
  real.cut();
  await waitFor(() => story.length >= 3, { timeoutMs: 4_000, description: 'the broker to be found again' });
  t.equal(deaths, 1);
  t.same(story, ['connected', 'disconnected', 'connected']);
  t.type(await broker.connection!.rtt(), 'number', 'and it answers');
  t.equal(story.length, 3, 'nothing more is said');
});

t.test('the first of several servers that is there is taken', async (t) => {
  const nats = await startTestNats(t);
  const broker = new Broker({ url: `nats://127.0.0.1:1, ${nats.url}`, name: 'test', log });
  t.teardown(() => broker.close());
  await waitFor(() => broker.connection !== null);
  t.equal(broker.connection?.getServer(), nats.url.replace('nats://', ''));
});

t.test('a broker that is away is tried again until it is closed', async (t) => {
  let attempts = 0;
  const counting = Object.assign(Object.create(log) as FastifyBaseLogger, { warn: () => (attempts += 1) });
  const countTimers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = countTimers();
  const broker = new Broker({ url: 'nats://127.0.0.1:1', name: 'test', log: counting });
  await waitFor(() => attempts >= 3);
  t.equal(broker.connection, null);
  await broker.close();
  await waitFor(() => countTimers() <= before, { description: 'nothing to be due any more' });
});

t.test('F18 a broker is found again although the clock was set back by a day meanwhile', async (t) => {
  const nats = await startTestNats(t);
  const broker = new Broker({ url: nats.url, name: 'test', log });
  t.teardown(() => broker.close());
  await waitFor(() => broker.connection !== null);
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  Date.now = () => now() - 86_400_000;
  await nats.kill();
  await waitFor(() => broker.connection === null);
  await nats.restart();
  await waitFor(() => broker.connection !== null, { description: 'the broker to be found again' });
  t.type(await broker.connection!.rtt(), 'number', 'and it answers');
});
