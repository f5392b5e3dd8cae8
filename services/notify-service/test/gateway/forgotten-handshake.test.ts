/**
 * If this breaks: every socket holds the request that it came from for as long as it is open, its access token too; a
 * node carries half the sockets that it could.
 */
import { waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { environmentOf, startWorld, waitForReady } from '../support/notify.ts';
import { connectSocket } from '../support/socket-client.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

t.test('nothing of a handshake outlives it', async (t) => {
  const world = await startWorld(t);
  const app = await buildApp(loadConfig(environmentOf(world)));
  t.teardown(() => app.close());
  const kept: WeakRef<object>[] = [];
  app.server.on('upgrade', (request) => kept.push(new WeakRef<object>(request), new WeakRef<object>(request.headers)));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await waitForReady(url);
  const clients = [];
  for (let userId = 1; userId <= 10; userId += 1) {
    clients.push(await connectSocket(url, { token: world.issuer.token(userId), isV1: userId % 2 === 0 }));
  }
  t.equal(kept.length, 2 * clients.length);
  await waitFor(
    () => {
      collectGarbage();
      return kept.every((reference) => reference.deref() === undefined);
    },
    { description: 'requests to be collected' },
  );
  t.equal(app.hub.size, clients.length, 'while the sockets are open');
  for (const client of clients) client.close();
});
