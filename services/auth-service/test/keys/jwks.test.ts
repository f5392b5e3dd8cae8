// If this breaks, other services cannot verify tokens, fetch the keys with every request, or a copy of the database is
// enough to sign tokens for everybody.
import { createPublicKey, createHash, generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { KeyRing } from '../../src/features/keys/index.ts';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { startAuth, testEnvironment } from '../auth-fixture.ts';
import { createAccount } from '../requests.ts';

const JWKS = '/.well-known/jwks.json';

interface Jwk {
  kty: string;
  crv: string;
  x: string;
  kid: string;
  alg: string;
  use: string;
}

t.test('A18 the key set has public parts only', async (t) => {
  const { app } = await startAuth(t);
  const answer = await app.inject(JWKS);
  t.equal(answer.statusCode, 200);
  t.match(answer.headers['content-type'], /^application\/json\b/);
  const { keys, ...rest } = answer.json<{ keys: Jwk[] }>();
  t.strictSame(rest, {});
  t.equal(keys.length, 1);
  const [key] = keys;
  t.strictSame(Object.keys(key!).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'], 'and d is not among them');
  t.match(key, { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
  const { kty, crv, x, kid } = key!;
  t.equal(Buffer.from(x, 'base64url').length, 32);
  t.equal(kid, createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url'), 'RFC 7638 thumbprint');
  t.equal(createPublicKey({ key: { kty, crv, x }, format: 'jwk' }).asymmetricKeyType, 'ed25519');
});

t.test('A18 the key set may be cached for ten minutes at most, and asked for by its tag', async (t) => {
  const { app } = await startAuth(t);
  const { headers } = await app.inject(JWKS);
  const maxAge = /^public, max-age=(\d+)$/.exec(String(headers['cache-control']))?.[1];
  t.ok(Number(maxAge) > 0 && Number(maxAge) <= 600, `max-age=${maxAge ?? ''}`);
  const tag = String(headers.etag);
  t.match(tag, /^"[\w-]+"$/);
  for (const known of [tag, `W/${tag}`, `"other", ${tag}`, `"other" , W/${tag}`, '*']) {
    const answer = await app.inject({ url: JWKS, headers: { 'if-none-match': known } });
    t.equal(answer.statusCode, 304, known);
    t.equal(answer.body, '');
    t.equal(answer.headers.etag, tag);
    t.equal(answer.headers['cache-control'], headers['cache-control']);
  }
  for (const unknown of ['"other"', tag.slice(1, -1), `"x${tag.slice(1)}`]) {
    t.equal((await app.inject({ url: JWKS, headers: { 'if-none-match': unknown } })).statusCode, 200, unknown);
  }
  const head = await app.inject({ method: 'HEAD', url: JWKS });
  t.equal(head.statusCode, 200);
  t.equal(head.headers.etag, tag);
});

t.test('A18 one key for all instances, also when they start at once, and after a restart', async (t) => {
  const { app, database, nats } = await startAuth(t);
  await database.query('delete from signing_keys');
  const config = loadConfig(testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }));
  const apps = await Promise.all(Array.from({ length: 4 }, () => buildApp(config)));
  t.teardown(() => Promise.all(apps.map((other) => other.close())));
  const sets = await Promise.all(apps.map(async (other) => (await other.inject(JWKS)).body));
  t.equal(new Set(sets).size, 1);
  t.same(await database.query('select count(*)::int as count from signing_keys'), [{ count: 1 }]);
  t.ok((await createAccount(app)).access, 'an instance that holds the former key goes on');
});

t.test('A18 the private key is encrypted at rest', async (t) => {
  const { app, database } = await startAuth(t);
  const [row] = await database.query<{ sealed: Buffer; kid: string }>(
    'select private_key_encrypted as sealed, kid from signing_keys',
  );
  // Every Ed25519 key in PKCS#8 begins with the same 16 bytes (RFC 8410 section 7).
  const pkcs8Head = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(0, 16);
  const [dump] = await database.query<{ text: string }>("select string_agg(k::text, '') as text from signing_keys k");
  t.notMatch(dump!.text, pkcs8Head.toString('hex'));
  t.notMatch(dump!.text, /PRIVATE KEY|"d":/);
  t.equal(row!.sealed.length, 12 + 16 + 48, 'nonce, tag, and a PKCS#8 key of 48 bytes');

  const options = {
    db: app.db,
    issuer: 'i',
    audience: 'a',
    accessTtlSeconds: 300,
    rotationDays: 0,
    onError: (error: unknown) => t.fail(String(error)),
  };
  const wrong = KeyRing.load({ ...options, secretKeys: ['another SECRET_KEY, long enough to be one'] });
  await t.rejects(wrong, { name: 'ConfigurationError', message: /SECRET_KEY/ }, 'another SECRET_KEY does not open it');
  const sealed = Buffer.from(row!.sealed);
  sealed[40]! ^= 1;
  await database.query('update signing_keys set private_key_encrypted = $1', [sealed]);
  const right = testEnvironment({ databaseUrl: database.url, natsUrl: '' }).SECRET_KEY!;
  await t.rejects(KeyRing.load({ ...options, secretKeys: [right] }), /SECRET_KEY/, 'nor does the right one, if a bit changed');
});
