// If this breaks, somebody who can write JSON is whoever they like to be: on every service that trusts our tokens.
import { generateKeyPairSync, createHmac, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { test } from 'tap';
import { AccessTokenVerifier, InvalidTokenError } from '../src/index.ts';
import { VerifiedTokens } from '../src/verified-tokens.ts';

const KID = 'the-key';
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
const verifier = new AccessTokenVerifier({
  issuer: 'infrasignal',
  audience: 'infrasignal',
  keys: { find: (kid) => (kid === KID ? publicPem : null) },
});

const now = (): number => Math.floor(Date.now() / 1000);

const goodHeader = { alg: 'EdDSA', typ: 'at+jwt', kid: KID };
const goodClaims = (): Record<string, unknown> => ({
  sub: '42',
  user_id: 42,
  sid: '9c6dddcb-a530-45ca-9a2d-aad8be6e8d9d',
  jti: '8d6c8a3d-e550-4bf1-a291-a262cef629a0',
  token_type: 'access',
  exp: now() + 300,
  aud: 'infrasignal',
  iss: 'infrasignal',
  iat: now(),
});

const encode = (text: string): string => Buffer.from(text).toString('base64url');

function signed(header: string, payload: string, key: KeyObject = privateKey): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`;
}

const token = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string =>
  signed(JSON.stringify({ ...goodHeader, ...header }), JSON.stringify({ ...goodClaims(), ...claims }));

function hs256(secret: string): string {
  const input = `${encode(JSON.stringify({ ...goodHeader, alg: 'HS256' }))}.${encode(JSON.stringify(goodClaims()))}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const unsigned = (alg: string): string =>
  `${encode(JSON.stringify({ ...goodHeader, alg }))}.${encode(JSON.stringify(goodClaims()))}.`;

const stranger = createPrivateKey(
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
);

test('A17 a token of ours is accepted, with what it says', async (t) => {
  t.match(await verifier.verify(token()), { user_id: 42, token_type: 'access' });
  t.match(await verifier.verify(token({ scope: 'notifications:all' })), { scope: 'notifications:all' });
});

test('A17 everything else is refused, although much of it bears our signature', async (t) => {
  const claims = goodClaims();
  const good = token();
  const [header = '', payload = '', signature = ''] = good.split('.');
  const refused: Record<string, string> = {
    ...Object.fromEntries(['none', 'None', 'NONE', 'nOnE'].map((alg) => [`alg ${alg}`, unsigned(alg)])),
    'HS256 keyed with the public key': hs256(publicPem),
    'HS256 keyed with the public key after white space': hs256(` ${publicPem}`),
    'HS256 keyed with the public key without its last line': hs256(publicPem.trim()),
    'another alg with our signature': token({}, { alg: 'ES256' }),
    'an unknown kid': token({}, { kid: 'another' }),
    'no kid': signed(JSON.stringify({ alg: 'EdDSA', typ: 'at+jwt' }), JSON.stringify(claims)),
    'a kid that is no text': token({}, { kid: 1 }),
    'a very long kid': token({}, { kid: 'k'.repeat(1000) }),
    'another typ': token({}, { typ: 'JWT' }),
    'a jku header': token({}, { jku: 'https://evil.example/jwks.json' }),
    'a jwk header': token({}, { jwk: publicKey.export({ format: 'jwk' }) }),
    'an x5u header': token({}, { x5u: 'https://evil.example/cert' }),
    'an x5c header': token({}, { x5c: ['AAAA'] }),
    'an unknown crit header': token({}, { crit: ['exp'] }),
    'signed by a stranger': signed(JSON.stringify(goodHeader), JSON.stringify(claims), stranger),
    expired: token({ exp: now() - 1 }),
    'not yet valid': token({ nbf: now() + 100 }),
    'another audience': token({ aud: 'somebody' }),
    'another issuer': token({ iss: 'somebody' }),
    'a refresh token’s type': token({ token_type: 'refresh' }),
    'no type': token({ token_type: undefined }),
    'exp as text': token({ exp: String(now() + 300) }),
    'a negative exp': token({ exp: -1 }),
    'no exp': token({ exp: undefined }),
    'no sid': token({ sid: undefined }),
    'a sub that is not the user': token({ sub: '43' }),
    'a user id that is no number': token({ user_id: '42' }),
    'a user id beyond what a number holds': token({ user_id: 2 ** 53, sub: String(2 ** 53) }),
    '64 KB of it': token({ padding: 'x'.repeat(65_536) }),
    'a key given twice': signed(
      JSON.stringify(goodHeader),
      `${JSON.stringify(claims).slice(0, -1)},"user_id":43}`,
    ),
    'white space in the payload': signed(JSON.stringify(goodHeader), JSON.stringify(claims, null, 1)),
    'white space in the header': signed(JSON.stringify(goodHeader, null, 1), JSON.stringify(claims)),
    'a payload that is a list': signed(JSON.stringify(goodHeader), '[]'),
    'a payload that is no JSON': signed(JSON.stringify(goodHeader), 'payload'),
    'no signature': `${header}.${payload}.`,
    'two segments': `${header}.${payload}`,
    'four segments': `${good}.${signature}`,
    nothing: '',
    'white space around it': ` ${good}`,
    'a line break after it': `${good}\n`,
    'padding after the signature': `${good}==`,
    'standard base64 in place of base64url': `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('base64')}`,
    'a refresh token': 'v1.9c6dddcb-a530-45ca-9a2d-aad8be6e8d9d.0.H49RAiOn-19nMiTCt2qnW1AU6MOIj4PPVLuoQLVUXjU',
  };
  for (const [what, value] of Object.entries(refused)) {
    await t.rejects(verifier.verify(value), InvalidTokenError, what);
  }
});

test('A17 there is one spelling of a token: its malleated copies are no tokens', async (t) => {
  const good = token();
  await verifier.verify(good);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const segments = good.split('.');
  let copies = 0;
  for (const [at, segment] of segments.entries()) {
    for (const last of alphabet) {
      const copy = segment.slice(0, -1) + last;
      const isSameBytes = Buffer.from(copy, 'base64url').equals(Buffer.from(segment, 'base64url'));
      if (copy === segment || !isSameBytes) continue;
      copies += 1;
      await t.rejects(verifier.verify(segments.with(at, copy).join('.')), InvalidTokenError);
    }
  }
  t.ok(copies >= 3, `${copies} copies decode to the same bytes`);
});

test('A26 an expired token is good for a logout, and for nothing else about it', async (t) => {
  const expired = token({ exp: now() - 3600 });
  t.match(await verifier.verify(expired, { ignoresExpiry: true }), { user_id: 42 });
  await t.rejects(verifier.verify(expired), InvalidTokenError);
  const forged = signed(JSON.stringify(goodHeader), JSON.stringify(goodClaims()), stranger);
  await t.rejects(verifier.verify(forged, { ignoresExpiry: true }), InvalidTokenError);
});

test('F18 tokens are judged by the time that is given, not by the clock of this machine', async (t) => {
  let nowMs = Date.now();
  const keys = { find: () => publicPem };
  const elsewhere = new AccessTokenVerifier({ issuer: 'infrasignal', audience: 'infrasignal', keys, now: () => nowMs });
  const good = token({ exp: now() + 900 });
  t.ok(await elsewhere.verify(good));
  nowMs += 899_000;
  t.ok(await elsewhere.verify(good));
  nowMs += 2_000;
  await t.rejects(elsewhere.verify(good), InvalidTokenError, 'it has expired there');
  t.ok(await elsewhere.verify(good, { ignoresExpiry: true }), 'which does not keep anybody from a logout');
  nowMs -= 1_300_000;
  await t.rejects(elsewhere.verify(good), InvalidTokenError, 'it would outlive what is remembered of ended sessions');
  nowMs += 100_001;
  t.ok(await elsewhere.verify(good));
  await t.rejects(elsewhere.verify(token({ nbf: now() })), InvalidTokenError, 'not valid yet');
  await t.rejects(elsewhere.verify(token({ nbf: '0' })), InvalidTokenError, 'not a number');
});

test('A17 of a token that is remembered, all but the signature is asked each time', async (t) => {
  let pem: string | null = publicPem;
  let nowMs = Date.now();
  const keys = { find: () => pem };
  const settings = { issuer: 'infrasignal', audience: 'infrasignal', keys, now: () => nowMs, rememberedMax: 2 };
  const remembering = new AccessTokenVerifier(settings);
  const good = token();
  const claims = await remembering.verify(good);
  t.equal(await remembering.verify(good), claims, 'not decoded again');
  t.ok(Object.isFrozen(claims), 'nobody can change what others are told');

  pem = null;
  await t.rejects(remembering.verify(good), { message: 'unknown key' }, 'its key was taken back');
  pem = createPublicKey(stranger).export({ type: 'spki', format: 'pem' }).toString();
  await t.rejects(remembering.verify(good), InvalidTokenError, 'its key is another one');
  pem = publicPem;
  const [head = '', , signature = ''] = good.split('.');
  const forged = `${head}.${encode(JSON.stringify({ ...goodClaims(), user_id: 1, sub: '1' }))}.${signature}`;
  for (let at = 0; at < 2; at += 1) await t.rejects(remembering.verify(forged), InvalidTokenError, 'never good');

  nowMs += 301_000;
  await t.rejects(remembering.verify(good), { message: 'expired' });
  t.equal(await remembering.verify(good, { ignoresExpiry: true }), claims);
});

test('A17 the token that came first is forgotten first', async (t) => {
  const verified = new VerifiedTokens(2);
  const known = { kid: KID, pem: publicPem, claims: await verifier.verify(token()), notBefore: undefined };
  for (const each of ['a', 'b', 'b', 'c']) verified.add(each, known);
  t.equal(verified.size, 2);
  t.same(['a', 'b', 'c'].map((each) => verified.find(each) === known), [false, true, true]);
  const none = new VerifiedTokens(0);
  none.add('a', known);
  t.equal(none.find('a'), null);
});
