/**
 * If this breaks: on a broker that reads in batches, a resume misses events or never ends.
 */
import { userEventsFilter } from '@infrasignal/shared';
import { startTestNats } from '@infrasignal/testkit';
import t from 'tap';
import { canReadBatches, readBatch } from '../../src/relay/batch-read.ts';
import { EventPublisher } from '../support/event-publisher.ts';

const TIMEOUT_MS = 2_000;

t.test('R4 many messages with one request', async (t) => {
  const nats = await startTestNats(t);
  const publisher = await EventPublisher.start(t, nats.url);
  const { connection } = publisher;
  const version = connection.info?.version ?? '';
  if (!canReadBatches(connection)) {
    t.match(version, /^2\.(?:\d|10)\./, 'only servers before 2.11 cannot');
    t.comment(`nats-server ${version} answers one message per request: nothing more to see here`);
    return;
  }
  const events = [];
  for (let at = 0; at < 50; at += 1) events.push(await publisher.publish((at % 2) + 1));
  const read = (fromSequence: number, userId: number | null, countMax: number): Promise<number[]> => {
    const filter = userId === null ? null : userEventsFilter(userId);
    const messages = readBatch(connection, { fromSequence, filter, countMax }, TIMEOUT_MS);
    return messages.then((messages) => messages.map(({ sequence }) => sequence));
  };
  const odd = Array.from({ length: 25 }, (_, at) => 2 * at + 1);
  t.same(await read(1, 1, 100), odd, 'one user’s, to the end');
  t.same(await read(1, 1, 25), odd);
  t.same(await read(2, 1, 10), odd.slice(1, 11), 'no more than asked for');
  t.same(await read(49, null, 64), [49, 50]);
  t.same(await read(50, 1, 10), [], 'none');
  t.same(await read(51, null, 10), [], 'none at all');
  const [first] = await readBatch(connection, { fromSequence: 3, filter: null, countMax: 1 }, TIMEOUT_MS);
  t.match(first, { subject: 'users.1.user.login', sequence: 3 });
  t.equal((JSON.parse(Buffer.from(first!.data).toString('utf8')) as { id: string }).id, events[2]!.id);
  t.ok(Math.abs(first!.storedAtMs - Date.now()) < 60_000);
  await publisher.publishRaw('users.1.user.login', '');
  t.same(await read(50, null, 10), [50, 51], 'a message without content is one, and no end');
  await nats.kill();
  await t.rejects(read(1, 1, 10), 'a broker that is away');
});
