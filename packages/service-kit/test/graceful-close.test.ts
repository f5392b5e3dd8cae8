// If this breaks, a deployment cuts off requests in flight, or a single forgotten connection makes every restart take
// its whole grace period and end as a failure.
import Fastify, { type FastifyInstance } from 'fastify';
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import {
  errorHandlerPlugin,
  gracefulClosePlugin,
  healthPlugin,
  serverOptions,
  type GracefulCloseOptions,
} from '../src/index.ts';

interface Running {
  app: FastifyInstance;
  port: number;
  /** Resolves when `GET /slow` is being worked on. */
  slowStarted: Promise<void>;
  /** Lets `GET /slow` end. */
  releaseSlow: () => void;
}

async function start(
  t: { teardown(handler: () => unknown): unknown },
  options: GracefulCloseOptions = {},
): Promise<Running> {
  const app = Fastify(serverOptions());
  await app.register(errorHandlerPlugin);
  await app.register(healthPlugin);
  await app.register(gracefulClosePlugin, options);
  let releaseSlow = (): void => undefined;
  const released = new Promise<void>((resolve) => (releaseSlow = resolve));
  let announceStart = (): void => undefined;
  const slowStarted = new Promise<void>((resolve) => (announceStart = resolve));
  app.get('/slow', async () => {
    announceStart();
    await released;
    return { slow: 'answered' };
  });
  t.teardown(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, port: (app.server.address() as AddressInfo).port, slowStarted, releaseSlow };
}

/** A raw connection and everything it received. */
async function open(port: number): Promise<{ socket: Socket; received: () => string; ended: Promise<unknown> }> {
  const socket = connect({ host: '127.0.0.1', port });
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => (text += String(chunk)));
  socket.on('error', () => undefined); // a reset ends it too
  const ended = once(socket, 'close');
  await once(socket, 'connect');
  return { socket, received: () => text, ended };
}

t.test('a request in flight is finished, one on its way is answered, nobody new gets in', async (t) => {
  const { app, port, slowStarted, releaseSlow } = await start(t);
  const inFlight = await open(port);
  inFlight.socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await slowStarted;
  const onItsWay = await open(port);
  onItsWay.socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n');
  const early = request({ host: '127.0.0.1', port, path: '/readyz', agent: false }).end();
  const [answer] = (await once(early, 'response')) as [IncomingMessage];
  t.equal(answer.statusCode, 200, 'ready before');
  answer.resume();

  const closed = app.close();
  while (app.server.listening) await nextTurn();
  const newcomer = connect({ host: '127.0.0.1', port });
  const [refusal] = (await once(newcomer, 'error')) as [NodeJS.ErrnoException];
  t.equal(refusal.code, 'ECONNREFUSED');

  onItsWay.socket.write('\r\n');
  await onItsWay.ended;
  t.match(onItsWay.received(), /^HTTP\/1.1 503 [^]*connection: close[^]*"failures":\{"process":"shutting down"\}/i);

  releaseSlow();
  await inFlight.ended;
  t.match(inFlight.received(), /^HTTP\/1.1 200 [^]*connection: close[^]*\{"slow":"answered"\}$/i);
  await closed;
});

t.test('a request that outlasts every other connection is still finished', async (t) => {
  const { app, port, slowStarted, releaseSlow } = await start(t, { arrivalGraceMs: 1 });
  const inFlight = await open(port);
  inFlight.socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await slowStarted;
  const idle = await open(port);
  const closed = app.close();
  while (app.server.listening) await nextTurn();
  // Set after the plugin's timer and for longer, so the grace for arrivals is over when this one ends.
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(inFlight.socket.readyState, 'open');
  releaseSlow();
  await Promise.all([inFlight.ended, idle.ended, closed]);
  t.match(inFlight.received(), /\{"slow":"answered"\}$/);
});

t.test('connections on which nothing comes do not hold up the close', async (t) => {
  const { app, port } = await start(t, { arrivalGraceMs: 1 });
  const silent = await open(port);
  const half = await open(port);
  half.socket.write('POST /slow HTTP/1.1\r\n');
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const outgoing = request({ host: '127.0.0.1', port, path: '/healthz', agent }).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  await Promise.all([app.close(), silent.ended, half.ended]); // or else this test's time limit
});
