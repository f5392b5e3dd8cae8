// If this breaks, one odd message on the broker stops every socket, reaches somebody it is not for, or an event of the
// next release is lost on nodes of this one.
import { test } from 'tap';
import {
  APP_TYPE_LENGTH_MAX,
  appNotification,
  broadcastSubject,
  dataSchemaUri,
  eventDefinitions,
  eventSubject,
  findEndedSessions,
  findEventDefinition,
  isAppType,
  parseEvent,
  SEQUENCE_MAX,
  toBroadcast,
  toInheritedNotification,
  toNotification,
  type EventEnvelope,
} from '../src/index.ts';

const SUBJECT = 'users.42.user.login';

const good: EventEnvelope = {
  specversion: '1.0',
  id: '0b9e7f1c-5a3d-4e8f-9c2b-1a2b3c4d5e6f',
  source: 'urn:infrasignal:auth-service',
  type: 'user.login',
  subject: 'users/42',
  time: '2026-01-02T03:04:05.678Z',
  datacontenttype: 'application/json',
  dataschema: 'urn:infrasignal:event:user.login:1',
  seq: 7,
  data: { user_id: 42, phone_number: '0123456789' },
};

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

test('R15 an event of this release', async (t) => {
  const parsed = parseEvent(SUBJECT, bytes(good));
  t.strictSame(parsed, { ok: true, userId: 42, event: good, definition: findEventDefinition('user.login', 1) });
  const variants: [string, Record<string, unknown>][] = [
    ['more attributes than we know', { ...good, traceparent: '00-x', partitionkey: '42' }],
    ['more data than we know', { ...good, data: { ...good.data, device: 'phone' } }],
    ['the largest seq', { ...good, seq: SEQUENCE_MAX }],
    ['a time with an offset', { ...good, time: '2026-01-02T03:04:05+01:00' }],
  ];
  for (const [what, event] of variants) t.ok(parseEvent(SUBJECT, bytes(event)).ok, what);
});

test('R15 what this release does not know is an event all the same', async (t) => {
  const newType = { ...good, type: 'user.danced', dataschema: 'urn:infrasignal:event:user.danced:1', data: { steps: 3 } };
  const newVersion = { ...good, dataschema: 'urn:infrasignal:event:user.login:2', data: { who: 42 } };
  for (const [subject, event] of [['users.42.user.danced', newType], [SUBJECT, newVersion]] as const) {
    t.strictSame(parseEvent(subject, bytes(event)), { ok: true, userId: 42, event, definition: null });
  }
});

test('R15 a value that a later release added to a list is no reason to refuse the event', async (t) => {
  const place = { type: 'session.revoked', dataschema: 'urn:infrasignal:event:session.revoked:1' };
  const revoked = { ...good, ...place, data: { user_id: 42, session_ids: [good.id], reason: 'device_lost' } };
  t.equal(parseEvent('users.42.session.revoked', bytes(revoked)).ok, true);
  const updated = { ...good, type: 'user.updated', dataschema: 'urn:infrasignal:event:user.updated:1' };
  for (const [changed, ok] of [[['email', 'shoe_size'], true], [[''], false], [['E-mail!'], false], [[7], false]]) {
    t.equal(parseEvent('users.42.user.updated', bytes({ ...updated, data: { user_id: 42, changed } })).ok, ok);
  }
});

test('R15 what ends sessions does so in every version, and nothing else does', async (t) => {
  const type = 'session.revoked';
  t.same(findEndedSessions({ type, data: { session_ids: ['a', 'b'], who: 'a later version' } }), ['a', 'b']);
  for (const data of [{}, { session_ids: 'a' }, { session_ids: [7, null, {}] }]) t.same(findEndedSessions({ type, data }), []);
  t.same(findEndedSessions({ type: 'app.session.revoked', data: { session_ids: ['a'] } }), []);
});

test('R15 what is invalid is so for a reason, and nobody’s', async (t) => {
  const envelope = (change: Record<string, unknown>): Uint8Array => bytes({ ...good, ...change });
  const without = (name: keyof EventEnvelope): Uint8Array => {
    const { [name]: _left, ...rest } = good;
    return bytes(rest);
  };
  const table: [string, string, Uint8Array, string][] = [
    ['a subject of nobody', 'users.*.user.login', bytes(good), 'subject'],
    ['a subject of another kind', 'broadcast.user.login', bytes(good), 'subject'],
    ['an empty message', SUBJECT, new Uint8Array(), 'json'],
    ['no JSON', SUBJECT, new TextEncoder().encode('{'), 'json'],
    ['no UTF-8', SUBJECT, new Uint8Array([0x22, 0xff, 0x22]), 'json'],
    ['null', SUBJECT, bytes(null), 'envelope'],
    ['an array', SUBJECT, bytes([good]), 'envelope'],
    ['a text', SUBJECT, bytes('event'), 'envelope'],
    ['another specversion', SUBJECT, envelope({ specversion: '2.0' }), 'envelope'],
    ['an id that is no UUID', SUBJECT, envelope({ id: '42' }), 'envelope'],
    ['an empty source', SUBJECT, envelope({ source: '' }), 'envelope'],
    ['a type with a wildcard', SUBJECT, envelope({ type: 'user.*' }), 'envelope'],
    ['a subject with a wildcard', SUBJECT, envelope({ subject: 'users/*' }), 'envelope'],
    ['a time that is none', SUBJECT, envelope({ time: 'yesterday' }), 'envelope'],
    ['a date without a time', SUBJECT, envelope({ time: '2026-01-02' }), 'envelope'],
    ['a day that does not exist', SUBJECT, envelope({ time: '2026-02-30T00:00:00Z' }), 'envelope'],
    ['another content type', SUBJECT, envelope({ datacontenttype: 'text/xml' }), 'envelope'],
    ['a schema without a version', SUBJECT, envelope({ dataschema: 'urn:infrasignal:event:user.login' }), 'envelope'],
    ['version 0', SUBJECT, envelope({ dataschema: 'urn:infrasignal:event:user.login:0' }), 'envelope'],
    ['a seq of 0', SUBJECT, envelope({ seq: 0 }), 'envelope'],
    ['a negative seq', SUBJECT, envelope({ seq: -1 }), 'envelope'],
    ['half a seq', SUBJECT, envelope({ seq: 1.5 }), 'envelope'],
    ['a seq of 2^53', SUBJECT, envelope({ seq: 2 ** 53 }), 'envelope'],
    ['a seq as text', SUBJECT, envelope({ seq: '7' }), 'envelope'],
    ['data that is a list', SUBJECT, envelope({ data: [] }), 'envelope'],
    ['data that is null', SUBJECT, envelope({ data: null }), 'envelope'],
    ['another user’s subject', SUBJECT, envelope({ subject: 'users/43' }), 'mismatch'],
    ['another type than its subject says', SUBJECT, envelope({ type: 'user.registered' }), 'mismatch'],
    ['another user’s message on this subject', 'users.43.user.login', bytes(good), 'mismatch'],
    ['an id in capitals', SUBJECT, envelope({ id: good.id.toUpperCase() }), 'envelope'],
    ['the schema of another type', SUBJECT, envelope({ dataschema: 'urn:infrasignal:event:user.danced:9' }), 'mismatch'],
    ['data of another user', SUBJECT, envelope({ data: { ...good.data, user_id: 43 } }), 'mismatch'],
    ['data of another shape', SUBJECT, envelope({ data: { user_id: '42', phone_number: '0123456789' } }), 'data'],
    ['data without its number', SUBJECT, envelope({ data: { user_id: 42 } }), 'data'],
    ['data with an empty number', SUBJECT, envelope({ data: { ...good.data, phone_number: '' } }), 'data'],
  ];
  for (const name of Object.keys(good) as (keyof EventEnvelope)[]) {
    table.push([`no ${name}`, SUBJECT, without(name), 'envelope']);
  }
  for (const [what, subject, message, reason] of table) {
    t.match(parseEvent(subject, message), { ok: false, reason }, what);
  }
});

test('R1 old clients hear of the two events they know, key for key', async (t) => {
  const event = { ...good, data: { user_id: 42, phone_number: '01 23 45 67 89' } };
  const texts = { 'user.registered': 'Nouvel utilisateur inscrit', 'user.login': 'Utilisateur connecté' };
  for (const [type, message] of Object.entries(texts)) {
    const frame = toInheritedNotification(42, { ...event, type }, findEventDefinition(type, 1));
    t.equal(
      JSON.stringify(frame),
      JSON.stringify({ type, status: 'success', user_id: 42, phone_number: '01 23 45 67 89', message }),
      'in this order',
    );
  }
  for (const definition of eventDefinitions.filter(({ type }) => !(type in texts))) {
    t.equal(toInheritedNotification(42, { ...event, type: definition.type }, definition), null, definition.type);
  }
  t.equal(toInheritedNotification(42, { ...event, type: 'user.danced' }, null), null, 'nor of what is unknown');
});

test('R4 infrasignal.v1 adds its place to what old clients know, and data to what they do not', async (t) => {
  const place = { id: good.id, seq: 7, time: good.time, cursor: 'a-cursor' };
  t.strictSame(toNotification(42, good, findEventDefinition('user.login', 1), 'a-cursor'), {
    type: 'user.login',
    status: 'success',
    user_id: 42,
    phone_number: '0123456789',
    message: 'Utilisateur connecté',
    ...place,
  });
  const event = { ...good, type: 'user.danced', data: { steps: 3 } };
  t.strictSame(toNotification(42, event, null, 'a-cursor'), {
    type: 'user.danced',
    user_id: 42,
    data: { steps: 3 },
    ...place,
  });
});

const sent: EventEnvelope = {
  ...good,
  type: 'app.order_shipped',
  dataschema: 'urn:infrasignal:event:app.order_shipped:1',
  data: {
    notification_id: '5b0d2c1e-8f6a-4b7c-9d3e-2a1f0e9d8c7b',
    user_id: 42,
    phone_number: '0123456789',
    messages: { fr: 'Votre commande est partie.', en: 'Your order has been shipped.' },
    data: { order_id: 'A-1042' },
  },
};
const sentToAll: EventEnvelope = {
  ...sent,
  subject: 'broadcasts',
  data: { ...sent.data, user_id: null, phone_number: null },
};

test('R15 what a service sent, to a user and to everybody', async (t) => {
  const own = parseEvent(eventSubject(42, sent.type), bytes(sent));
  t.strictSame(own, { ok: true, userId: 42, event: sent, definition: appNotification });
  const subject = broadcastSubject(sent.type);
  t.strictSame(parseEvent(subject, bytes(sentToAll)), {
    ok: true,
    userId: null,
    event: sentToAll,
    definition: appNotification,
  });
  const login = { ...good, subject: 'broadcasts' };
  const table: [string, string, EventEnvelope, string][] = [
    ['a user’s on everybody’s subject', subject, sent, 'mismatch'],
    ['everybody’s on a user’s subject', eventSubject(42, sent.type), sentToAll, 'mismatch'],
    ['an account’s event for everybody', 'broadcasts.user.login', login, 'mismatch'],
    ['one language only', subject, { ...sentToAll, data: { ...sentToAll.data, messages: { fr: 'x' } } }, 'data'],
    ['no data', subject, { ...sentToAll, data: { ...sentToAll.data, data: null } }, 'data'],
  ];
  for (const [what, place, event, reason] of table) {
    t.match(parseEvent(place, bytes(event)), { ok: false, reason }, what);
  }
});

test('R15 a type of a service cannot be that of an account', async (t) => {
  const longest = `app.${'x'.repeat(APP_TYPE_LENGTH_MAX - 4)}`;
  for (const type of ['app.news', 'app.orders.order_shipped', longest]) t.ok(isAppType(type), type);
  const refused = ['app', 'app.', 'app..x', 'user.login', 'session.revoked', 'application.x', 'App.x', 'app.X', 'app.*', 'app.>',
    ' app.x', 'app.x\n', 'app.x.', 'x.app.y', 'app.1x', `${longest}x`, ''];
  for (const type of refused) t.notOk(isAppType(type), JSON.stringify(type));
  for (const { type } of eventDefinitions) t.notOk(isAppType(type), type);
});

test('R4 what a service sent is told to every client in its form: French first, as inherited', async (t) => {
  const place = { id: sent.id, time: sent.time };
  const { messages, data } = sent.data;
  const inherited = { type: sent.type, status: 'success', user_id: 42, phone_number: '0123456789' };
  const message = 'Votre commande est partie.';
  t.equal(JSON.stringify(toInheritedNotification(42, sent, appNotification)), JSON.stringify({ ...inherited, message }));
  t.strictSame(toNotification(42, sent, appNotification, 'a-cursor'), {
    ...inherited, message, messages, data, ...place, seq: 7, cursor: 'a-cursor',
  });
  const ofNobody = { ...inherited, user_id: null, phone_number: null };
  t.equal(
    JSON.stringify(toInheritedNotification(null, sentToAll, appNotification)),
    JSON.stringify({ ...ofNobody, message }),
    'no key is lost',
  );
  t.strictSame(toBroadcast(sentToAll, appNotification), { ...ofNobody, message, messages, data, ...place, broadcast_seq: 7 });
  t.equal(toInheritedNotification(null, sentToAll, null), null, 'what is newer than this release has no inherited form');
  t.strictSame(toBroadcast(sentToAll, null), { type: sent.type, user_id: null, data: sentToAll.data, ...place, broadcast_seq: 7 });
});

test('R15 the catalogue: one definition per version of a type, named by its own schema', async (t) => {
  const names = eventDefinitions.map(dataSchemaUri);
  t.equal(new Set(names).size, names.length);
  for (const definition of eventDefinitions) {
    const { type, version, description } = definition;
    t.equal(findEventDefinition(type, version), definition);
    t.equal(dataSchemaUri(definition), `urn:infrasignal:event:${type}:${version}`);
    t.ok(Number.isInteger(version) && version >= 1);
    t.match(description, /^[A-Z].*\.$/, 'a sentence');
  }
  t.equal(findEventDefinition('constructor', 1), null);
});
