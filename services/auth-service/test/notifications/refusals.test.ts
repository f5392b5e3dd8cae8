// If this breaks, somebody without the right tells everybody something, a service passes its message off as a login, or
// one request fills the stream.
import tap, { test } from 'tap';
import { DATA_BYTES_MAX, RECIPIENTS_MAX } from '../../src/features/notifications/notifications-schemas.ts';
import { startAuth, type AuthFixture } from '../auth-fixture.ts';
import { createAccount, post, problemOf, refusals } from '../requests.ts';
import { createSender, TEXTS, type Sender } from './sender.ts';

let fixture: AuthFixture;
let sender: Sender;

const good = { to: [1], type: 'app.order_shipped', messages: TEXTS };

tap.before(async () => {
  fixture = await startAuth(tap);
  sender = await createSender(fixture, 'notifications:send', 'notifications:broadcast');
});

async function countWritten(): Promise<number> {
  const [row] = await fixture.database.query<{ count: number }>(
    `select count(*)::int as count from outbox where type like 'app.%'`,
  );
  return row?.count ?? -1;
}

test('without a token, or with one that lacks the scope, nothing is sent', async (t) => {
  const { access } = await createAccount(fixture.app);
  const key = { 'idempotency-key': 'a-key-of-a-stranger' };
  const withoutToken = await post(fixture.app, '/api/notifications/', good, key);
  t.equal(withoutToken.statusCode, 401);
  t.equal(withoutToken.headers['www-authenticate'], 'Bearer');
  const forged = await post(fixture.app, '/api/notifications/', good, { ...key, authorization: `Bearer ${access}x` });
  t.equal(forged.statusCode, 401);

  const reader = await createSender(fixture, 'notifications:all');
  const [toUsers, toAll] = [
    await createSender(fixture, 'notifications:send'),
    await createSender(fixture, 'notifications:broadcast'),
  ];
  const table: [string, string, unknown, string][] = [
    ['a person', access, good.to, 'notifications:send'],
    ['who may read all', reader.access, good.to, 'notifications:send'],
    ['who may read all, to everybody', reader.access, 'everybody', 'notifications:send'],
    ['who may tell users, to everybody', toUsers.access, 'everybody', 'notifications:broadcast'],
    ['who may tell everybody, to users', toAll.access, good.to, 'notifications:send'],
  ];
  for (const [who, token, to, scope] of table) {
    const headers = { ...key, authorization: `Bearer ${token}` };
    const answer = await post(fixture.app, '/api/notifications/', { ...good, to }, headers);
    t.equal(answer.statusCode, 403, who);
    t.equal(problemOf(answer).code, 'insufficient_scope', who);
    t.equal(answer.headers['www-authenticate'], `Bearer error="insufficient_scope", scope="${scope}"`, who);
  }
  t.equal(await countWritten(), 0);
});

test('A5 what is not as it has to be is refused, and the place is named', async (t) => {
  const ids = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
  const table: [string, Record<string, unknown>, string[]][] = [
    ['nobody', { to: undefined }, ['/to required']],
    ['an empty list', { to: [] }, ['/to too_short']],
    ['a list that is too long', { to: ids(RECIPIENTS_MAX + 1) }, ['/to too_long']],
    ['one id without a list', { to: 1 }, ['/to invalid_type']],
    ['another word', { to: 'nobody' }, ['/to invalid_type']],
    ['all of them', { to: '*' }, ['/to invalid_type']],
    ['an id as text', { to: ['1'] }, ['/to invalid_type', '/to/0 invalid_type']],
    ['the log of everybody as an id', { to: [0] }, ['/to invalid_type', '/to/0 invalid_value']],
    ['a negative id', { to: [-1] }, ['/to invalid_type', '/to/0 invalid_value']],
    ['half an id', { to: [1.5] }, ['/to invalid_type', '/to/0 invalid_type']],
    ['an id of 2^53', { to: [2 ** 53] }, ['/to invalid_type', '/to/0 invalid_value']],
    ['no type', { type: undefined }, ['/type required']],
    ['one language', { messages: { fr: 'Bonjour' } }, ['/messages/en required']],
    ['an empty text', { messages: { ...TEXTS, en: '' } }, ['/messages/en too_short']],
    ['a text that is too long', { messages: { ...TEXTS, fr: 'é'.repeat(501) } }, ['/messages/fr too_long']],
    ['a third language', { messages: { ...TEXTS, de: 'Hallo' } }, ['/messages/de unknown_field']],
    ['a text that is none', { messages: { ...TEXTS, fr: 1 } }, ['/messages/fr invalid_type']],
    ['NUL in a text', { messages: { ...TEXTS, fr: '\u0000' } }, ['/messages/fr invalid_characters']],
    ['data that is a list', { data: [] }, ['/data invalid_type']],
    ['data that is null', { data: null }, ['/data invalid_type']],
    ['data that is too large', { data: { x: 'x'.repeat(DATA_BYTES_MAX - 7) } }, ['/data too_long']],
    ['data that is too large in bytes', { data: { x: 'é'.repeat(DATA_BYTES_MAX / 2) } }, ['/data too_long']],
    ['NUL in data', { data: { deep: [{ down: '\u0000' }] } }, ['/data/deep/0/down invalid_characters']],
    ['a field that does not exist', { seq: 7 }, ['/seq unknown_field']],
    ['a sender of its own choice', { source: 'bank' }, ['/source unknown_field']],
  ];
  for (const [what, changes, expected] of table) {
    const answer = await sender.send({ ...good, ...changes });
    t.equal(answer.statusCode, 400, what);
    t.strictSame(refusals(answer), expected, what);
  }
  const headers = { authorization: `Bearer ${sender.access}`, 'idempotency-key': 'a-number-of-no-double' };
  const infinite = JSON.stringify({ ...good, data: { x: 0 } }).replace('"x":0', '"x":1e999');
  t.strictSame(refusals(await post(fixture.app, '/api/notifications/', infinite, headers)), ['/data invalid_value']);
  t.equal(await countWritten(), 0);
});

test('A5 the type of an account’s event cannot be forged', async (t) => {
  const forged = [
    'user.login', 'user.registered', 'session.revoked', 'app', 'app.', 'App.x', 'app.X', 'app..x', 'app.*', 'app.>', ' app.x',
    'app.x ', 'app.x\n', 'user.app.x', 'app.1x', 'ping', 'connected', '',
  ];
  for (const type of forged) {
    const answer = await sender.send({ ...good, type });
    t.equal(answer.statusCode, 400, JSON.stringify(type));
    t.strictSame(refusals(answer), ['/type invalid_format'], JSON.stringify(type));
  }
  t.strictSame(refusals(await sender.send({ ...good, type: `app.${'x'.repeat(61)}` })), ['/type too_long']);
  t.equal(await countWritten(), 0);
});

test('a key is asked for, and has a form', async (t) => {
  const authorization = `Bearer ${sender.access}`;
  const without = await post(fixture.app, '/api/notifications/', good, { authorization });
  t.equal(without.statusCode, 400);
  t.match(refusals(without), [/required$/]);
  const refused = ['', 'short', 'x'.repeat(129), 'with spaces in it', '"unbalanced-quote', `${'x'.repeat(10)}é`];
  for (const key of refused) {
    const answer = await post(fixture.app, '/api/notifications/', good, { authorization, 'idempotency-key': key });
    t.equal(answer.statusCode, 400, key);
  }
  for (const key of ['x'.repeat(8), 'x'.repeat(128), '"8e03978e-40d5-43dd-bc93-6894a57f9324"']) {
    const answer = await post(fixture.app, '/api/notifications/', good, { authorization, 'idempotency-key': key });
    t.equal(answer.statusCode, 202, key);
  }
});

test('A5 what is just within the limits is taken', async (t) => {
  const { user_id: userId } = await createAccount(fixture.app);
  const others = Array.from({ length: RECIPIENTS_MAX - 1 }, (_, at) => 1_000_000 + at);
  const table: [string, Record<string, unknown>][] = [
    ['the longest list', { to: [userId, ...others] }],
    ['the largest id', { to: [Number.MAX_SAFE_INTEGER] }],
    ['the longest type', { type: `app.${'x'.repeat(60)}` }],
    ['the longest texts', { messages: { fr: '😀'.repeat(500), en: 'é'.repeat(500) } }],
    ['the largest data', { data: { x: 'x'.repeat(DATA_BYTES_MAX - 8) } }],
    ['empty data', { data: {} }],
  ];
  for (const [what, changes] of table) {
    const answer = await sender.send({ ...good, ...changes });
    t.equal(answer.statusCode, 202, `${what}: ${answer.body.slice(0, 200)}`);
  }
  const all = { to: [userId, ...others], messages: { fr: '😀'.repeat(500), en: '😀'.repeat(500) }, data: { x: '\\'.repeat(2_000) } };
  t.equal((await sender.send({ ...good, ...all })).statusCode, 202, 'all of it at once');
});
