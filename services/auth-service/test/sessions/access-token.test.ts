// If this breaks, no other service can tell who a token stands for, or it lives longer than a stolen one may.
import { createPublicKey, verify, type JsonWebKey } from 'node:crypto';
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { loadConfig } from '../../src/config.ts';
import { createAccount, logIn, nextNumber, post, register } from '../requests.ts';
import type { FastifyInstance } from 'fastify';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function decode(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
}

function take(token: string): { header: Record<string, unknown>; claims: Record<string, unknown> } {
  const [header = '', claims = ''] = token.split('.');
  return { header: decode(header), claims: decode(claims) };
}

/** Verifies with nothing but node:crypto and the published keys, as any other program would. */
async function isSignedBy(app: FastifyInstance, token: string): Promise<boolean> {
  const { keys } = (await app.inject('/.well-known/jwks.json')).json<{ keys: (JsonWebKey & { kid: string })[] }>();
  const key = keys.find(({ kid }) => kid === take(token).header.kid);
  if (key === undefined) return false;
  const [header = '', claims = '', signature = ''] = token.split('.');
  const publicKey = createPublicKey({ key, format: 'jwk' });
  return verify(null, Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url'));
}

t.test('A16 the access token of a registration and of a login', async (t) => {
  const { app, database } = await startAuth(t);
  const phoneNumber = nextNumber();
  const body = { phone_number: phoneNumber, password: GOOD_PASSWORD };
  const sessions = new Set<unknown>();
  const tokenIds = new Set<unknown>();
  for (const request of [register, logIn, logIn]) {
    const before = Math.floor(Date.now() / 1000);
    const { access, user_id: userId, expires_in: expiresIn } = (await request(app, body)).json<{
      access: string;
      user_id: number;
      expires_in: number;
    }>();
    const after = Math.ceil(Date.now() / 1000);
    const { header, claims } = take(access);
    t.strictSame(Object.keys(header).sort(), ['alg', 'kid', 'typ'], 'no jwk, jku, x5u');
    t.match(header, { alg: 'EdDSA', typ: 'at+jwt', kid: /^[\w-]{43}$/ });
    t.ok(await isSignedBy(app, access));
    t.match(claims, {
      iss: 'infrasignal',
      sub: String(userId),
      aud: 'infrasignal',
      jti: UUID,
      sid: UUID,
      token_type: 'access',
      user_id: userId,
    });
    const allowed = ['aud', 'exp', 'iat', 'iss', 'jti', 'scope', 'sid', 'sub', 'token_type', 'user_id'];
    t.same(Object.keys(claims).filter((name) => !allowed.includes(name)), [], 'nothing about the person but the id');
    const { iat, exp } = claims as { iat: number; exp: number };
    t.ok(Number.isInteger(iat) && iat >= before && iat <= after);
    t.ok(Number.isInteger(exp) && exp >= before + 300 && exp <= after + 300);
    t.equal(expiresIn, 300);
    t.same(await database.query('select user_id::int as user_id from sessions where id = $1', [claims.sid]), [
      { user_id: userId },
    ]);
    sessions.add(claims.sid);
    tokenIds.add(claims.jti);
  }
  t.equal(sessions.size, 3);
  t.equal(tokenIds.size, 3);
});

t.test('A16 a token changed in any part is signed by nobody', async (t) => {
  const { app } = await startAuth(t);
  const { access } = await createAccount(app);
  const [header = '', claims = '', signature = ''] = access.split('.');
  const other = Buffer.from(JSON.stringify({ ...decode(claims), user_id: 1_000, sub: '1000' })).toString('base64url');
  t.equal(await isSignedBy(app, `${header}.${other}.${signature}`), false);
  const last = signature.at(10) === 'A' ? 'B' : 'A';
  t.equal(await isSignedBy(app, `${header}.${claims}.${signature.slice(0, 10)}${last}${signature.slice(11)}`), false);
});

t.test('A16 issuer, audience and life are settings; the life is 15 minutes at most', async (t) => {
  const { app } = await startAuth(t, {
    TOKEN_ISSUER: 'https://auth.example.com',
    TOKEN_AUDIENCE: 'example',
    ACCESS_TOKEN_TTL_SECONDS: '900',
  });
  const { access, expires_in: expiresIn } = await createAccount(app);
  t.equal(expiresIn, 900);
  const { iss, aud, iat, exp } = take(access).claims as { iss: string; aud: string; iat: number; exp: number };
  t.equal(iss, 'https://auth.example.com');
  t.equal(aud, 'example');
  t.ok(exp - iat <= 901 && exp - iat >= 899);
  const environment = { DATABASE_URL: 'postgres://h/d', NATS_URL: 'nats://h', SECRET_KEY: 'x8Yb2Kq0pV5rT7nW3mZ6cL9dF1gH4jSa' };
  t.throws(() => loadConfig({ ...environment, ACCESS_TOKEN_TTL_SECONDS: '901' }), /ACCESS_TOKEN_TTL_SECONDS/);
});

t.test('F18 an instance whose clock is a day off gives out the same tokens as any other', async (t) => {
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  for (const aheadMs of [86_400_000, -86_400_000]) {
    Date.now = () => now() + aheadMs;
    const { app: wrong, database } = await startAuth(t);
    const { access, refresh } = await createAccount(wrong);
    const [row] = await database.query<{ seconds: number }>('select extract(epoch from now())::float8 as seconds');
    const seconds = row?.seconds ?? 0;
    const { iat, exp } = take(access).claims as { iat: number; exp: number };
    t.ok(Math.abs(iat - seconds) < 60 && exp - iat === 300, `${iat - seconds} s after the database's time`);
    const guarded = await wrong.inject({ url: '/api/me/', headers: { authorization: `Bearer ${access}` } });
    t.equal(guarded.statusCode, 200);
    t.equal((await post(wrong, '/api/token/refresh/', { refresh })).statusCode, 200);
    const told = Date.parse(String((await wrong.inject('/.well-known/jwks.json')).headers.date));
    t.ok(Math.abs(told / 1_000 - seconds) < 60, 'and tells verifiers the time that it goes by');
    Date.now = now;
  }
});
