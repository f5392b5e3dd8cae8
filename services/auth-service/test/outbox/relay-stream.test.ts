// If this breaks, each restart of the broker makes every notify node read the whole log again, from its first day.
import { EVENTS_STREAM, EVENTS_STREAM_NAME } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { jetstreamManager, type StreamInfo } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { test } from 'tap';
import { commitRow, countUnpublished, createRelayFixture } from './relay-fixture.ts';

async function withManager<Answer>(
  url: string,
  ask: (streams: Awaited<ReturnType<typeof jetstreamManager>>['streams']) => Promise<Answer>,
): Promise<Answer> {
  const connection = await connect({ servers: url });
  try {
    return await ask((await jetstreamManager(connection)).streams);
  } finally {
    await connection.close();
  }
}

const readInfo = (url: string): Promise<StreamInfo> => withManager(url, (streams) => streams.info(EVENTS_STREAM_NAME));

test('F3 a stream stays the same stream over restarts of the broker', async (t) => {
  const { database, nats, startRelay } = await createRelayFixture(t);
  startRelay();
  const createdAt = new Set<string>();
  for (let seq = 1; seq <= 4; seq += 1) {
    await commitRow(database, { userId: 5, seq });
    await waitFor(async () => (await countUnpublished(database)) === 0);
    createdAt.add(String((await readInfo(nats.url)).created));
    await nats.kill();
    await nats.restart();
  }
  t.equal(createdAt.size, 1, [...createdAt].join(', '));
});

test('F3 a stream whose settings are not ours gets ours', async (t) => {
  const { database, nats, startRelay } = await createRelayFixture(t);
  await withManager(nats.url, (streams) =>
    streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], duplicate_window: 1e9, max_age: 60e9 }),
  );
  startRelay();
  await commitRow(database, { userId: 5, seq: 1 });
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.match((await readInfo(nats.url)).config, { ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects] });
});

test('F20 a stream of another release gains our subjects and keeps its own', async (t) => {
  const { database, nats, startRelay, stored } = await createRelayFixture(t);
  await withManager(nats.url, (streams) => streams.add({ ...EVENTS_STREAM, subjects: ['users.>', 'of_another_release.>'] }));
  startRelay();
  await commitRow(database, { userId: 0, seq: 1, type: 'app.news' });
  await waitFor(async () => (await countUnpublished(database)) === 0);
  t.strictSame((await readInfo(nats.url)).config.subjects, ['users.>', 'of_another_release.>', 'broadcasts.>']);
  t.strictSame((await stored()).map(({ subject }) => subject), ['broadcasts.app.news']);
});
