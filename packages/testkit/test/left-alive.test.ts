// If this breaks, a service may hold on to everything that it is sent, and the fuzz tests call that good.
import { LeftAlive } from '@infrasignal/testkit/fuzz';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';

/** Long enough for a look or two. */
const SETTLE_MS = 1_000;

test('what a server lets go of is gone, and what it keeps is found and named', async (t) => {
  const kept: object[] = [];
  const server = createServer((request, response) => {
    if (request.url === '/keep') kept.push(request);
    response.setHeader('connection', 'close').end('done');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const alive = new LeftAlive(server);
  const ask = async (path: string): Promise<void> => {
    await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`)).text();
  };
  for (let count = 0; count < 5; count += 1) await ask('/');
  t.equal(await alive.settle(0), 15, 'five connections, requests and answers');
  for (let count = 0; count < 5; count += 1) await ask('/keep');
  await t.rejects(alive.settle(0, SETTLE_MS), { message: /IncomingMessage/ });
  kept.length = 0;
  t.equal(await alive.settle(0), 30);
});
