// If this breaks, a token that says something else than ours is taken for one, or two services read it differently.
import { test } from 'tap';
import { hasScope, parseAccessTokenClaims, parseClientFrame, SCOPE_ALL_NOTIFICATIONS } from '../src/index.ts';

const good = {
  iss: 'infrasignal',
  sub: '42',
  aud: 'infrasignal',
  iat: 1_700_000_000,
  exp: 1_700_000_300,
  jti: 'a-token',
  sid: '0b9e7f1c-5a3d-4e8f-9c2b-1a2b3c4d5e6f',
  token_type: 'access',
  user_id: 42,
};

test('A16 the claims of an access token', async (t) => {
  for (const change of [{}, { scope: 'a b' }, { aud: ['infrasignal', 'other'] }, { extra: 1 }]) {
    t.strictSame(parseAccessTokenClaims({ ...good, ...change }), { ...good, ...change });
  }
});

test('A17 claims that are missing, of another kind, or contradict each other', async (t) => {
  const refused: unknown[] = [
    null, undefined, 'text', 42, [], [good],
    { ...good, token_type: 'refresh' },
    { ...good, sub: '43' },
    { ...good, sub: 42 },
    { ...good, sub: '042' },
    { ...good, sub: '*' },
    { ...good, user_id: '42' },
    { ...good, user_id: 0, sub: '0' },
    { ...good, user_id: 1.5, sub: '1.5' },
    { ...good, user_id: 2 ** 53, sub: String(2 ** 53) },
    { ...good, exp: '1700000300' },
    { ...good, exp: -1 },
    { ...good, exp: null },
    { ...good, iat: 1.5 },
    { ...good, jti: '' },
    { ...good, jti: 'x'.repeat(65) },
    { ...good, sid: 'no-uuid' },
    { ...good, iss: '' },
    { ...good, aud: 7 },
    { ...good, scope: ['a'] },
  ];
  for (const claims of refused) t.equal(parseAccessTokenClaims(claims), null, JSON.stringify(claims));
  for (const name of Object.keys(good)) {
    t.equal(parseAccessTokenClaims({ ...good, [name]: undefined }), null, `without ${name}`);
  }
});

test('R2 a scope is a whole word of the list', async (t) => {
  const all = SCOPE_ALL_NOTIFICATIONS;
  for (const scope of [all, `a ${all}`, `${all} b`, `a ${all} b`]) t.ok(hasScope({ scope }, all), scope);
  for (const scope of ['', 'notifications', `${all}:x`, `x${all}`, all.toUpperCase(), `a,${all}`]) {
    t.notOk(hasScope({ scope }, all), scope);
  }
  t.notOk(hasScope({}, all));
});

test('R10 a client may send ping and pong and nothing else', async (t) => {
  t.strictSame(parseClientFrame('{"type":"ping"}'), { type: 'ping' });
  t.strictSame(parseClientFrame(' {"type":"pong"} '), { type: 'pong' });
  const refused = ['', '{', 'ping', 'null', '[]', '"ping"', '{}', '{"type":"PING"}', '{"type":["ping"]}', '{"type":null}'];
  const server = ['connected', 'reconnect', 'error', 'user.login', '__proto__'].map((type) => JSON.stringify({ type }));
  for (const text of [...refused, ...server]) t.equal(parseClientFrame(text), null, text);
});
