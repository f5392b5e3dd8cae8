// If this breaks, a service that retries tells people twice, one that was answered has told nobody, or an announcement
// is written a million times.
import tap, { test } from 'tap';
import { startAuth, type AuthFixture } from '../auth-fixture.ts';
import { createAccount, problemOf, type Answer } from '../requests.ts';
import { createSender, TEXTS, type Sender } from './sender.ts';

interface Row {
  user_id: number;
  seq: number;
  type: string;
  payload: Record<string, unknown>;
}

interface SentBody {
  notification_id: string;
  recipients: number | null;
  unknown_user_ids: number[];
}

let fixture: AuthFixture;
let sender: Sender;

tap.before(async () => {
  fixture = await startAuth(tap, { BROADCASTS_PER_MINUTE_MAX: '1000', NOTIFICATION_RECIPIENTS_PER_MINUTE_MAX: '100000' });
  sender = await createSender(fixture, 'notifications:send', 'notifications:broadcast');
});

const sentBody = (answer: Answer): SentBody => answer.json();

/** What was written for one log (0: everybody) beside the events of the account itself. */
function rowsOf(userId: number): Promise<Row[]> {
  return fixture.database.query<Row>(
    `select user_id::float8, seq::float8, type, payload from outbox where user_id = $1 and type like 'app.%' order by seq`,
    [userId],
  );
}

async function createAccounts(count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let made = 0; made < count; made += 1) ids.push((await createAccount(fixture.app)).user_id);
  return ids;
}

const countingFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, at) => first + at);

test('a notification is an event of each user it is for, numbered among their others', async (t) => {
  const [first, second] = (await createAccounts(2)) as [number, number];
  const answer = await sender.send({ to: [second, 9_999_999, first, second], data: { order_id: 'A-1042' } });
  t.equal(answer.statusCode, 202);
  const { notification_id: id, recipients, unknown_user_ids: unknown } = sentBody(answer);
  t.equal(recipients, 2, 'one named twice counts once');
  t.strictSame(unknown, [9_999_999], 'who does not exist is named');
  for (const userId of [first, second]) {
    const [row, ...others] = await rowsOf(userId);
    t.strictSame(others, []);
    t.equal(row?.seq, 2, 'behind the registration, without a gap');
    t.equal(row?.type, 'app.order_shipped');
    t.match(row?.payload, { notification_id: id, user_id: userId, messages: TEXTS, data: { order_id: 'A-1042' } });
    t.match(row?.payload.phone_number, /^01/, 'which the inherited protocol has in every notification');
  }
});

test('to nobody at all is an answer, not an error', async (t) => {
  const answer = await sender.send({ to: [9_999_997, 9_999_998] });
  t.equal(answer.statusCode, 202);
  t.match(sentBody(answer), { recipients: 0, unknown_user_ids: [9_999_997, 9_999_998] });
});

test('to everybody is one row, in a log without a gap, however many are sent at once', async (t) => {
  await createAccounts(3);
  const answers = await Promise.all(countingFrom(0, 30).map((at) => sender.send({ to: 'everybody', data: { at } })));
  for (const answer of answers) t.match(sentBody(answer), { recipients: null, unknown_user_ids: [] });
  const rows = await rowsOf(0);
  t.strictSame(rows.map(({ seq }) => seq), countingFrom(1, 30));
  t.match(rows[0]?.payload, { user_id: null, phone_number: null, messages: TEXTS });
  const ids = new Set(rows.map(({ payload }) => payload.notification_id));
  t.strictSame(ids, new Set(answers.map((answer) => sentBody(answer).notification_id)));
});

test('lists that overlap, in any order and together with logins, neither wait for ever nor leave a gap', async (t) => {
  const ids = await createAccounts(6);
  const lists = countingFrom(0, 24).map((at) => (at % 2 === 0 ? ids : [...ids].reverse()).slice(at % 3));
  const answers = await Promise.all(lists.map((to) => sender.send({ to })));
  t.strictSame(new Set(answers.map(({ statusCode }) => statusCode)), new Set([202]));
  for (const [at, userId] of ids.entries()) {
    const expected = lists.filter((list) => list.includes(userId)).length;
    const seqs = (await rowsOf(userId)).map(({ seq }) => seq);
    t.strictSame(seqs, countingFrom(2, expected), `user ${at}`);
    const [user] = await fixture.database.query('select event_seq::float8 as seq from users where id = $1', [userId]);
    t.match(user, { seq: expected + 1 });
  }
});

test('one key, one notification, however often and at whatever moment it is sent', async (t) => {
  const [userId] = (await createAccounts(1)) as [number];
  const key = 'order-A-1042-shipped';
  const both = await Promise.all(countingFrom(0, 12).map(() => sender.send({ to: [userId, 9_999_999] }, key)));
  const later = await sender.send({ to: [userId, 9_999_999] }, `"${key}"`);
  const bodies = [...both, later].map((answer) => answer.body);
  t.equal(new Set(bodies).size, 1, 'every answer is the first one');
  t.match(sentBody(later), { recipients: 1, unknown_user_ids: [9_999_999] });
  t.equal((await rowsOf(userId)).length, 1);

  const before = (await rowsOf(0)).length;
  const all = await Promise.all(countingFrom(0, 12).map(() => sender.send({ to: 'everybody' }, 'to-everybody-once')));
  t.equal(new Set(all.map(({ body }) => body)).size, 1);
  t.equal((await rowsOf(0)).length, before + 1);
});

test('a key is of its sender and of one request, however that is spelled', async (t) => {
  const [userId] = (await createAccounts(1)) as [number];
  const key = 'key-of-one-request';
  const first = await sender.send({ to: [userId], data: { a: 1, b: { c: 2, d: 3 } } }, key);
  const reordered = await sender.send({ data: { b: { d: 3, c: 2 }, a: 1 }, to: [userId] }, key);
  t.equal(reordered.body, first.body, 'members in another order are the same request');
  const others = [{ to: [userId, userId + 1] }, { to: 'everybody' }, { to: [userId], type: 'app.other' }, { to: [userId] }];
  for (const changes of others) {
    const answer = await sender.send(changes, key);
    t.equal(answer.statusCode, 422, JSON.stringify(changes));
    t.equal(problemOf(answer).code, 'idempotency_key_reused');
  }
  const stranger = await createSender(fixture, 'notifications:send');
  t.equal((await stranger.send({ to: [userId] }, key)).statusCode, 202, 'another sender has keys of its own');
  t.equal((await rowsOf(userId)).length, 2);
});

test('keys are forgotten after a day, by whoever sends next', async (t) => {
  const [userId] = (await createAccounts(1)) as [number];
  await sender.send({ to: [userId] }, 'an-old-key');
  await fixture.database.query(
    `update sent_notifications set created_at = now() - interval '25 hours' where idempotency_key = 'an-old-key'`,
  );
  await sender.send({ to: [userId] });
  const rows = await fixture.database.query(`select 1 from sent_notifications where idempotency_key = 'an-old-key'`);
  t.strictSame(rows, []);
});

test('a sender sends so much in a minute and no more, however many requests it makes at once', async (t) => {
  const limited = await startAuth(t, { BROADCASTS_PER_MINUTE_MAX: '5' });
  const eager = await createSender(limited, 'notifications:send', 'notifications:broadcast');
  const calm = await createSender(limited, 'notifications:broadcast');
  // Whatever is counted is counted in one minute: that of a clock in the future, which no request can leave.
  await limited.database.query(
    `insert into notification_allowances
     select id, now() + interval '1 hour', 0, 0 from users where kind = 'service'`,
  );
  const keys = countingFrom(0, 12).map((at) => `broadcast-${at}`);
  const answers = await Promise.all(keys.map((key) => eager.send({ to: 'everybody' }, key)));
  const codes = answers.map(({ statusCode }) => statusCode).sort();
  t.strictSame(codes, [...Array<number>(5).fill(202), ...Array<number>(7).fill(429)]);
  const refused = answers.find(({ statusCode }) => statusCode === 429)!;
  t.equal(problemOf(refused).code, 'throttled');
  const wait = Number(refused.headers['retry-after']);
  t.ok(Number.isInteger(wait) && wait >= 1 && wait <= 60, `Retry-After ${wait}`);
  const [row] = await limited.database.query('select event_seq::int as seq from broadcast_log');
  t.match(row, { seq: 5 });

  const sent = keys.filter((_, at) => answers[at]?.statusCode === 202);
  for (const key of sent) t.equal((await eager.send({ to: 'everybody' }, key)).statusCode, 202, 'a retry uses nothing up');
  t.equal((await calm.send({ to: 'everybody' })).statusCode, 202, 'another sender is not affected');

  const thousand = countingFrom(1, 1_000);
  for (let sends = 0; sends < 20; sends += 1) t.equal((await eager.send({ to: thousand })).statusCode, 202);
  t.equal((await eager.send({ to: [1] })).statusCode, 429, 'users are counted, not requests');
  await limited.database.query(`update notification_allowances set minute = now() - interval '1 minute'`);
  t.equal((await eager.send({ to: [1] })).statusCode, 202, 'the next minute is another one');
});
