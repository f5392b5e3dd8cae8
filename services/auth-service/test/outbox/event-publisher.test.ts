// If this breaks, an event is marked as published that no broker has: it is lost for everybody, and nothing says so.
import { EVENTS_STREAM_NAME } from '@infrasignal/shared';
import { startTestNatsCluster, waitFor } from '@infrasignal/testkit';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { EventPublisher, UnstoredRepeatError } from '../../src/outbox/event-publisher.ts';
import type { OutboxRow } from '../../src/outbox/outbox-repository.ts';

const row: OutboxRow = {
  id: 1,
  eventId: randomUUID(),
  userId: 42,
  seq: 7,
  type: 'user.login',
  dataVersion: 1,
  traceparent: null,
  payload: {},
  createdAt: new Date(),
  ageSeconds: 0,
  readAtMs: performance.now(),
};

const CHOICES = { replicas: 3, duplicateWindowSeconds: 600 };

t.test('F16 what a leader without followers has only proposed is in doubt, however often it is published', async (t) => {
  const cluster = await startTestNatsCluster(t);
  const connection = await connect({ servers: cluster.url });
  const publisher = await EventPublisher.create(connection, CHOICES);
  // A cluster that was just formed may take longer than one request of ours does.
  await waitFor(() => publisher.ensureStream(), { description: 'the stream to be made' });
  const leader = await waitFor(() => cluster.findStreamLeader(EVENTS_STREAM_NAME), {
    description: 'the stream to have a leader',
  });
  const toLeader = await connect({ servers: leader.url });
  const atLeader = await EventPublisher.create(toLeader, CHOICES);
  t.teardown(() => Promise.all([connection.close(), toLeader.close()]));

  const followers = cluster.nodes.filter((node) => node !== leader);
  await Promise.all(followers.map((node) => node.kill('SIGSTOP')));
  await t.rejects(atLeader.store(row), { name: 'TimeoutError' }, 'nobody acknowledges it');
  await t.rejects(atLeader.store(row), UnstoredRepeatError, 'to the leader it is a repeat, of what has no place');

  await Promise.all(followers.map((node) => node.kill('SIGCONT')));
  const isStored = (): Promise<boolean> => atLeader.store(row).then(() => true, () => false);
  await waitFor(isStored, { description: 'the event to be stored' });
});
