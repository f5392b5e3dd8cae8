/**
 * The ceilings of asking about a token, and of reading one's account: Fastify routes that verify one Ed25519 signature
 * and nothing else of the token, the second and third with one SELECT by primary key. No schema, no claim is looked at,
 * no log, no header of their own. Set by DATABASE_URL, DATABASE_POOL_MAX, JWKS_URL, HOST and PORT.
 */
import { createPublicKey, verify, type JsonWebKey } from 'node:crypto';
import Fastify from 'fastify';
import pg from 'pg';

const { DATABASE_URL, DATABASE_POOL_MAX, JWKS_URL = '', HOST, PORT } = process.env;

const response = await fetch(JWKS_URL);
const { keys } = (await response.json()) as { keys: JsonWebKey[] };
const [jwk] = keys;
if (jwk === undefined) throw new Error('there is no key to verify with');
const key = createPublicKey({ key: jwk, format: 'jwk' });

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(DATABASE_POOL_MAX) });
pool.on('error', () => undefined); // the database ends with the run
const app = Fastify();

/** @returns the payload's text @throws Error unless the key signed it */
function readToken(token: string): string {
  const end = token.lastIndexOf('.');
  const isSigned = verify(null, Buffer.from(token.slice(0, end)), key, Buffer.from(token.slice(end + 1), 'base64url'));
  if (!isSigned) throw new Error('not signed by us');
  return Buffer.from(token.slice(token.indexOf('.') + 1, end), 'base64url').toString();
}

app.post<{ Body: { token: string } }>('/verify', (request) => {
  readToken(request.body.token);
  return {};
});

app.post<{ Body: { token: string } }>('/verify-and-select', async (request) => {
  const { sid } = JSON.parse(readToken(request.body.token)) as { sid: string };
  await pool.query('select revoked_at from sessions where id = $1', [sid]);
  return {};
});

app.get('/me', async (request) => {
  const token = (request.headers.authorization ?? '').slice('Bearer '.length);
  const { user_id: userId } = JSON.parse(readToken(token)) as { user_id: number };
  const { rows } = await pool.query<Record<string, unknown>>(
    `select id::float8 as user_id, phone_number, phone_number_e164, email, created_at, last_login_at
     from users where id = $1`,
    [userId],
  );
  return rows[0];
});

app.get('/readyz', () => ({}));
app.addHook('onClose', () => pool.end());
process.once('SIGTERM', () => void app.close());
await app.listen({ host: HOST ?? '127.0.0.1', port: Number(PORT) });
