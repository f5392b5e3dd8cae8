// If this breaks, fault tests pass without the broker having been killed, or lose its store on restart.
import { existsSync } from 'node:fs';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { test } from 'tap';
import { readStream, startTestNats } from '../src/index.ts';

test('a broker of the test’s own keeps port and store over SIGKILL and restart', async (t) => {
  let storeDirectory = '';
  await t.test('inner', async (inner) => {
    const nats = await startTestNats(inner);
    storeDirectory = nats.storeDirectory;
    const connection = await connect({ servers: nats.url });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'EVENTS', subjects: ['users.>'] });
    inner.same(await readStream({ url: nats.url, stream: 'EVENTS' }), [], 'an empty stream is an empty list');
    const client = jetstream(connection);
    const header = headers();
    header.set('X-Kind', 'test');
    await client.publish('users.1.a', JSON.stringify({ n: 1 }), { headers: header });
    await client.publish('users.2.a', JSON.stringify({ n: 2 }));
    await connection.close();

    const firstPid = nats.pid;
    await nats.kill();
    await t.rejects(connect({ servers: nats.url, reconnect: false, timeout: 500 }));
    await nats.restart();
    t.not(nats.pid, firstPid);

    const all = await readStream<{ n: number }>({ url: nats.url, stream: 'EVENTS' });
    inner.same(all.map(({ subject, sequence, data }) => [subject, sequence, data.n]), [
      ['users.1.a', 1, 1],
      ['users.2.a', 2, 2],
    ]);
    inner.same(all[0]?.headers['X-Kind'], ['test']);
    const some = await readStream({ url: nats.url, stream: 'EVENTS', subject: 'users.2.>' });
    inner.equal(some.length, 1);
    await inner.rejects(readStream({ url: nats.url, stream: 'MISSING' }));
  });
  t.notOk(existsSync(storeDirectory), 'its store is removed');
});

test('two brokers do not see each other', async (t) => {
  const [one, two] = await Promise.all([startTestNats(t), startTestNats(t)]);
  t.not(one.port, two.port);
});
