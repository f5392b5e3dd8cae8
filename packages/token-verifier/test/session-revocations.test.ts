// If this breaks: another team's service goes on serving whoever stole a session, after its owner ended it.
import { dataSchemaUri, EVENTS_STREAM, eventSubject, sessionRevoked } from '@infrasignal/shared';
import { startTestNats, waitFor, type TestNats } from '@infrasignal/testkit';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { test } from 'tap';
import { SessionRevocations } from '../src/index.ts';

interface Teardown {
  teardown(handler: () => unknown): unknown;
}

async function createStream({ url }: TestNats): Promise<void> {
  const connection = await connect({ servers: url });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], num_replicas: 1 });
  await connection.close();
}

let seq = 0;

async function revoke({ url }: TestNats, ...sessionIds: string[]): Promise<void> {
  seq += 1;
  const connection = await connect({ servers: url });
  const event = {
    specversion: '1.0',
    id: randomUUID(),
    source: 'urn:infrasignal:auth-service',
    type: sessionRevoked.type,
    subject: 'users/7',
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri(sessionRevoked),
    seq,
    data: { user_id: 7, session_ids: sessionIds, reason: 'logout' },
  };
  await jetstream(connection).publish(eventSubject(7, sessionRevoked.type), JSON.stringify(event));
  await connection.close();
}

async function follow(t: Teardown, { url }: TestNats, now?: () => number): Promise<SessionRevocations> {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const revocations = new SessionRevocations({ connection, ...(now === undefined ? {} : { now }) });
  t.teardown(async () => {
    revocations.stop();
    await connection.close();
  });
  revocations.start();
  return revocations;
}

test('A26 sessions that ended before and after the start are known, others are not touched', async (t) => {
  const nats = await startTestNats(t);
  await createStream(nats);
  const [before, after, alive] = [randomUUID(), randomUUID(), randomUUID()];
  await revoke(nats, before, randomUUID());
  const revocations = await follow(t, nats);
  await waitFor(() => revocations.isReady);
  t.equal(revocations.isRevoked(before), true, 'from the first moment of being ready');
  await revoke(nats, after);
  await waitFor(() => revocations.isRevoked(after));
  t.equal(revocations.isRevoked(alive), false);
});

test('A26 without the broker it is not ready; what ended meanwhile is known when it is again', async (t) => {
  const nats = await startTestNats(t);
  await createStream(nats);
  const revocations = await follow(t, nats);
  await waitFor(() => revocations.isReady);
  await nats.kill();
  await waitFor(() => !revocations.isReady, { description: 'the loss to be noticed' });
  await nats.restart();
  const meanwhile = randomUUID();
  await revoke(nats, meanwhile);
  await waitFor(() => revocations.isReady && revocations.isRevoked(meanwhile));
  t.equal(revocations.isRevoked(meanwhile), true);
});

test('A26 a revocation is forgotten when no token of its session can be alive', async (t) => {
  const nats = await startTestNats(t);
  await createStream(nats);
  let aheadMs = 0;
  const revocations = await follow(t, nats, () => Date.now() + aheadMs);
  await waitFor(() => revocations.isReady);
  const ended = randomUUID();
  await revoke(nats, ended);
  await waitFor(() => revocations.isRevoked(ended));
  aheadMs = 19 * 60_000;
  t.equal(revocations.isRevoked(ended), true);
  aheadMs = 21 * 60_000;
  t.equal(revocations.isRevoked(ended), false);
});
