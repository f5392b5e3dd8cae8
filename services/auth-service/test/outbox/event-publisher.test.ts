// If this breaks, an event is marked as published that no broker has: it is lost for everybody, and nothing says so.
import { connect } from '@nats-io/transport-node';
import { startTestNats } from '@infrasignal/testkit';
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

t.test('F16 a repeat of what the broker has not stored is in doubt, one of what it has is stored', async (t) => {
  const nats = await startTestNats(t);
  const [connection, leader] = await Promise.all([connect({ servers: nats.url }), connect({ servers: nats.url })]);
  t.teardown(() => Promise.all([connection.close(), leader.close()]));
  // The very answers of nats-server 2.10: of a leader that has only proposed it, and of one that has it.
  const answers = ['{"stream":"EVENTS","seq":0,"duplicate": true}', '{"stream":"EVENTS","seq":8188,"duplicate": true}'];
  leader.subscribe('users.>', { callback: (_error, message) => void message.respond(answers.shift() ?? '') });
  await leader.flush();
  const choices = { replicas: 1, duplicateWindowSeconds: 600 };
  const publisher = await EventPublisher.create(connection, choices);
  await t.rejects(publisher.store(row), UnstoredRepeatError);
  await t.resolves(publisher.store(row));
});
