// If this breaks, somebody tries the most common password on every account, and no operator ever hears of it.
import { ALL_SECURITY_EVENTS, securityEventDefinitions, type SecurityEventEnvelope } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { connect } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import t from 'tap';
import { Value } from 'typebox/value';
import { SprayingDetector, type Spraying } from '../../src/features/login-attempts/spraying-detector.ts';
import { GOOD_PASSWORD } from '../auth-fixture.ts';
import { createAccount, nextNumber } from '../requests.ts';
import { startTwo, tryToLogIn } from './guessing.ts';

const HOUR_MS = 3_600_000;

interface Watch {
  readonly detector: SprayingDetector;
  readonly seen: Spraying[];
  readonly clock: { nowMs: number };
}

function createDetector(accountsMin: number): Watch {
  const clock = { nowMs: 1_000 * HOUR_MS };
  const seen: Spraying[] = [];
  const onSpraying = (spraying: Spraying): number => seen.push(spraying);
  return { detector: new SprayingDetector({ clock: () => clock.nowMs, accountsMin, onSpraying }), seen, clock };
}

t.test('A13 one password on many accounts is noticed, once an hour', async (t) => {
  const { detector, seen, clock } = createDetector(3);
  for (let time = 0; time < 10; time += 1) detector.note('one', 'the same account');
  detector.note('one', 'second');
  t.strictSame(seen, [], 'many on one account, and too few accounts, are none');
  detector.note('another', 'third');
  t.strictSame(seen, [], 'nor are other passwords');
  detector.note('one', 'third');
  t.strictSame(seen, [{ accounts: 3, windowSeconds: 3600 }]);
  detector.note('one', 'fourth');
  t.equal(seen.length, 1, 'told once');
  clock.nowMs += HOUR_MS;
  t.equal(detector.size, 2);
  for (const account of ['fifth', 'sixth']) detector.note('one', account);
  t.equal(detector.size, 1, 'nothing of the hour before is left');
  detector.note('one', 'seventh');
  t.equal(seen.length, 2, 'and again in the next hour');
  detector.note('n\u0303', 'a');
  detector.note('\u00f1', 'b');
  detector.note('n\u0303', 'c');
  t.equal(seen.length, 3, 'however it is spelled');
});

t.test('A13 noise does not let the memory grow', async (t) => {
  const { detector, seen } = createDetector(2);
  for (let at = 0; at < 20_100; at += 1) detector.note(`noise ${at}`, 'account');
  t.equal(detector.size, 20_000);
  detector.note('noise 0', 'another');
  t.strictSame(seen, [], 'the oldest were let go');
  detector.note('noise 20099', 'another');
  t.equal(seen.length, 1);
});

t.test('A13 spraying and disabled passwords reach the broker, numbered without a gap, whoever saw them', async (t) => {
  const { app, other, database, nats } = await startTwo(t, {
    SPRAYING_ACCOUNTS_MIN: '5',
    LOGIN_FAILURES_MAX: '2',
    LOGIN_DELAY_SECONDS: '0',
  });
  const connection = await connect({ servers: nats.url });
  t.teardown(() => connection.close());
  const read = async (): Promise<{ subject: string; event: SecurityEventEnvelope }[]> => {
    const { streams } = await jetstreamManager(connection);
    const messages: { subject: string; event: SecurityEventEnvelope }[] = [];
    for (let seq = 1; ; seq += 1) {
      const message = await streams.getMessage('SECURITY', { seq }).catch(() => null);
      if (message === null) return messages;
      messages.push({ subject: message.subject, event: message.json<SecurityEventEnvelope>() });
    }
  };
  const spray = async (instance: typeof app, password: string): Promise<void> => {
    for (let at = 0; at < 5; at += 1) await tryToLogIn(instance, { phoneNumber: nextNumber(), password });
  };
  await Promise.all([spray(app, 'password123'), ...['a', 'b', 'c'].map((password) => spray(other, password))]);
  await waitFor(async () => (await read()).length === 4, { description: 'four signs of an attack in the stream' });
  const { user_id: userId, phone_number: phoneNumber } = await createAccount(app);
  for (let at = 0; at < 3; at += 1) await tryToLogIn(app, { phoneNumber, password: `guess ${at}` });
  for (let at = 0; at < 3; at += 1) await tryToLogIn(app, { phoneNumber: nextNumber(), password: `guess ${at}` });
  await waitFor(async () => (await read()).length === 5, { description: 'the disabled password in the stream' });
  const messages = await read();
  t.strictSame(messages.map(({ event }) => event.seq).sort(), [1, 2, 3, 4, 5]);
  t.equal(new Set(messages.map(({ event }) => event.id)).size, 5);
  t.match(messages[0], {
    subject: 'security.password_spraying',
    event: {
      specversion: '1.0',
      source: 'urn:infrasignal:auth-service',
      type: 'security.password_spraying',
      dataschema: 'urn:infrasignal:event:security.password_spraying:1',
      data: { accounts: 5, window_seconds: 3600 },
    },
  });
  t.match(messages[4], { subject: 'security.password_disabled', event: { data: { user_id: userId } } });
  for (const { event } of messages) {
    const definition = securityEventDefinitions.find(({ type }) => type === event.type);
    t.ok(definition !== undefined && Value.Check(definition.data, event.data), 'its data are as the contract says');
    t.notMatch(JSON.stringify(event), /password123|guess/);
  }
  const stored = await database.query<{ row: string }>('select e::text as row from security_events e order by seq');
  t.equal(stored.length, 5);
  for (const { row } of stored) t.notMatch(row, /password123|guess/);
  const [{ hole } = { hole: null }] = await database.query<{ hole: number }>(
    "select count(*)::int as hole from outbox where type like 'security.%'",
  );
  t.equal(hole, 0, 'no user sees them');
  t.equal((await tryToLogIn(app, { phoneNumber, password: GOOD_PASSWORD })).statusCode, 401);
});

t.test('A13 what is noticed while the broker is away is told when it is back', async (t) => {
  const { app, database, nats } = await startTwo(t, { SPRAYING_ACCOUNTS_MIN: '2' });
  await nats.kill();
  for (let at = 0; at < 2; at += 1) await tryToLogIn(app, { phoneNumber: nextNumber(), password: 'password123' });
  const unpublished = (): Promise<unknown[]> =>
    database.query('select seq from security_events where published_at is null');
  await waitFor(async () => (await unpublished()).length === 1, { description: 'the row' });
  await nats.restart();
  await waitFor(async () => (await unpublished()).length === 0, { description: 'its message' });
  const connection = await connect({ servers: nats.url });
  t.teardown(() => connection.close());
  const { streams } = await jetstreamManager(connection);
  const message = await streams.getMessage('SECURITY', { last_by_subj: ALL_SECURITY_EVENTS });
  t.equal(message?.json<SecurityEventEnvelope>().seq, 1);
});
