// If this breaks, an id that is no id widens a subscription to other people's events.
import fc from 'fast-check';
import { test } from 'tap';
import {
  broadcastSubject,
  EVENT_TYPE_LENGTH_MAX,
  eventDefinitions,
  eventSubject,
  EVENTS_STREAM,
  isEventType,
  isUserId,
  parseEventSubject,
  userEventsFilter,
} from '../src/index.ts';

// The same cases in every run: what fails here fails everywhere.
fc.configureGlobal({ seed: 20_260_102 });

/** What a caller without types, or with a cast, may hand over as an id. */
const NO_USER_IDS: unknown[] = [
  '*', '>', 'a.b', '42', '', ' ', '42.>', 0, -0, -1, 1.5, NaN, Infinity, 2 ** 53, 2 ** 63, 1e21, null, undefined, [42], {},
  { toString: () => '>' }, 42n, true,
];

const NO_TYPES: unknown[] = [
  '', 'user', 'user.', '.user', 'user..login', 'user.*', 'user.>', '*', '>', 'User.login', 'user.Login', 'user login.x',
  'user.login ', 'user.login\n', '\nuser.login', 'user.1login', 'user.lo-gin', 'usér.login', 'user.login\u0000',
  `user.${'x'.repeat(EVENT_TYPE_LENGTH_MAX)}`, 42, null, undefined, ['user.login'],
];

test('R2 a user id in a subject is a positive safe integer and nothing else', async (t) => {
  for (const id of NO_USER_IDS) {
    t.notOk(isUserId(id), String(id));
    t.throws(() => userEventsFilter(id as number), RangeError);
    t.throws(() => eventSubject(id as number, 'user.login'), RangeError);
  }
  for (const id of [1, 42, Number.MAX_SAFE_INTEGER]) {
    t.ok(isUserId(id));
    t.equal(userEventsFilter(id), `users.${id}.>`);
    t.equal(eventSubject(id, 'user.login'), `users.${id}.user.login`);
  }
});

test('R2 an event type in a subject is dot-separated words and no wildcard', async (t) => {
  for (const type of NO_TYPES) {
    t.notOk(isEventType(type), JSON.stringify(type));
    t.throws(() => eventSubject(42, type as string), RangeError);
    t.throws(() => broadcastSubject(type as string), RangeError);
  }
  const longest = `user.${'x'.repeat(EVENT_TYPE_LENGTH_MAX - 5)}`;
  for (const type of ['user.login', 'session.revoked', 'a.b', 'a1_b.c2.d3', longest]) t.ok(isEventType(type), type);
});

test('R2 a subject that is neither one user’s event nor everybody’s is taken for none', async (t) => {
  t.same(parseEventSubject('users.42.user.login'), { userId: 42, type: 'user.login' });
  t.same(parseEventSubject('users.9007199254740991.a.b.c'), { userId: Number.MAX_SAFE_INTEGER, type: 'a.b.c' });
  t.same(parseEventSubject('broadcasts.app.news'), { userId: null, type: 'app.news' });
  const others = [
    'broadcasts', 'broadcasts.', 'broadcasts.app', 'broadcasts.>', 'broadcasts.*.news', 'broadcasts.app.news.', 'broadcast.app.news',
    'broadcasts.42.user.login', 'Broadcasts.app.news',
    '', 'users', 'users.', 'users.42', 'users.42.', 'users.42.login', 'users..user.login', 'users.*.user.login',
    'users.>.user.login', 'users.42.>', 'users.042.user.login', 'users.-1.user.login', 'users.+1.user.login',
    'users.1e3.user.login', 'users.0.user.login', 'users.9007199254740992.user.login', 'users.9223372036854775808.user.login',
    'users.４２.user.login', 'users.42 .user.login', ' users.42.user.login', 'Users.42.user.login', 'user.42.user.login',
    'other.users.42.user.login', 'users.42.user.login\n',
  ];
  for (const subject of others) t.equal(parseEventSubject(subject), null, JSON.stringify(subject));
});

test('R2 whatever is made can be read, and whatever can be read was made so', async (t) => {
  const ids = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const words = fc.stringMatching(/^[a-z][a-z0-9_]{0,9}$/);
  const types = fc.array(words, { minLength: 2, maxLength: 5 }).map((parts) => parts.join('.'));
  fc.assert(
    fc.property(ids, types, (userId, type) => {
      const parsed = parseEventSubject(eventSubject(userId, type));
      const everybodys = parseEventSubject(broadcastSubject(type));
      const isBack = parsed?.userId === userId && parsed.type === type;
      return isBack && everybodys?.userId === null && everybodys.type === type;
    }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string().map((text) => `users.${text}`)), (subject) => {
      const parsed = parseEventSubject(subject);
      if (parsed === null) return true;
      const { userId, type } = parsed;
      return (userId === null ? broadcastSubject(type) : eventSubject(userId, type)) === subject;
    }),
  );
  t.pass('for 200 random cases');
});

test('R2 every event there is fits the stream', async (t) => {
  t.strictSame(EVENTS_STREAM.subjects, ['users.>', 'broadcasts.>']);
  for (const { type } of eventDefinitions) t.ok(parseEventSubject(eventSubject(1, type)), type);
});
