// If this breaks, an impatient double click makes two accounts of one number, or one account that is announced twice
// or never.
import type { EventEnvelope } from '@infrasignal/shared';
import { readStream, waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { problemOf, register } from '../requests.ts';

const PARALLEL = 50;

t.test('A3 50 parallel registrations of one number: one account, one event, 49 refusals', async (t) => {
  const { app, database, nats } = await startAuth(t);
  const spellings = ['0123456789', '+33 1 23 45 67 89', '0033123456789', 'tel:+33123456789', '01.23.45.67.89'];

  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, (_, at) =>
      register(app, { phone_number: spellings[at % spellings.length], password: GOOD_PASSWORD }),
    ),
  );

  const created = answers.filter((answer) => answer.statusCode === 201);
  const refused = answers.filter((answer) => answer.statusCode === 409);
  t.equal(created.length, 1);
  t.equal(refused.length, PARALLEL - 1);
  t.ok(refused.every((answer) => problemOf(answer).code === 'phone_number_taken'));
  const { user_id: userId } = created[0]!.json<{ user_id: number }>();
  t.same(await database.query('select id::int, event_seq::int from users'), [{ id: userId, event_seq: 1 }]);
  t.same(await database.query('select count(*)::int as count from sessions'), [{ count: 1 }], 'no orphan session');
  t.same(await database.query('select user_id::int, seq::int, type from outbox'), [
    { user_id: userId, seq: 1, type: 'user.registered' },
  ]);

  await waitFor(async () => {
    const [row] = await database.query<{ count: number }>(
      'select count(*)::int as count from outbox where published_at is null',
    );
    return row?.count === 0;
  });
  const messages = await readStream<EventEnvelope>({ url: nats.url, stream: 'EVENTS' });
  t.match(messages, [{ subject: `users.${userId}.user.registered`, data: { type: 'user.registered', seq: 1 } }]);
  t.equal(messages.length, 1);
});

t.test('A3 50 parallel registrations with one e-mail address: one account', async (t) => {
  const { app, database } = await startAuth(t);
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, (_, at) =>
      register(app, { phone_number: `01234567${at + 10}`, password: GOOD_PASSWORD, email: 'one@example.com' }),
    ),
  );
  t.equal(answers.filter((answer) => answer.statusCode === 201).length, 1);
  const refused = answers.filter((answer) => answer.statusCode === 409);
  t.equal(refused.length, PARALLEL - 1);
  t.ok(refused.every((answer) => problemOf(answer).code === 'email_taken'));
  t.same(await database.query('select count(*)::int as count from users'), [{ count: 1 }]);
  t.same(await database.query('select count(*)::int as count from outbox'), [{ count: 1 }]);
});

t.test('A3 parallel registrations of different numbers do not touch each other', async (t) => {
  const { app, database } = await startAuth(t);
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, (_, at) =>
      register(app, { phone_number: `01234567${at + 10}`, password: GOOD_PASSWORD }),
    ),
  );
  t.ok(answers.every((answer) => answer.statusCode === 201));
  t.same(
    await database.query('select count(*)::int as count, count(distinct user_id)::int as users, max(seq)::int from outbox'),
    [{ count: PARALLEL, users: PARALLEL, max: 1 }],
  );
});
