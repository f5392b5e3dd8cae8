// If this breaks, nobody can sign up, clients of the Django original miss a field they read, or the stored hashes can
// be cracked at a rate that OWASP calls unsafe.
import t from 'tap';
import { startAuth, testEnvironment, GOOD_PASSWORD } from '../auth-fixture.ts';
import { loadConfig } from '../../src/config.ts';
import { logIn, nextNumber, register } from '../requests.ts';

interface StoredUser {
  id: string;
  phone_number: string;
  phone_number_e164: string;
  password_hash: string;
}

function hashCost(passwordHash: string): { m: number; t: number; p: number } {
  const parameters = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(passwordHash);
  if (parameters === null) throw new Error(`not an Argon2id hash: ${passwordHash}`);
  return { m: Number(parameters[1]), t: Number(parameters[2]), p: Number(parameters[3]) };
}

t.test('A1 register answers 201 with tokens, and the hash has the default cost', async (t) => {
  // The one test at the cost that production has; every other one has cheap hashes.
  const { argon2MemoryKib, argon2Iterations } = loadConfig({
    ...testEnvironment({ databaseUrl: 'postgres://localhost/x', natsUrl: 'nats://localhost' }),
    ARGON2_MEMORY_KIB: undefined,
    ARGON2_ITERATIONS: undefined,
  });
  const { app, database } = await startAuth(t, { ARGON2_MEMORY_KIB: '', ARGON2_ITERATIONS: '' });

  const answer = await register(app, { phone_number: '0123456789', password: GOOD_PASSWORD });

  t.equal(answer.statusCode, 201);
  t.match(answer.headers['content-type'], /^application\/json\b/);
  const body: Record<string, unknown> = answer.json();
  t.same(
    Object.keys(body).sort(),
    ['access', 'device_token', 'expires_in', 'phone_number', 'refresh', 'refresh_expires_in', 'token_type', 'user_id'],
    'the inherited fields and four new ones, nothing else',
  );
  t.match(body, {
    refresh: /^v1\./,
    access: /^[\w-]+\.[\w-]+\.[\w-]+$/,
    phone_number: '0123456789',
    token_type: 'Bearer',
    expires_in: 300,
    refresh_expires_in: 7 * 86_400,
    device_token: /^d1\./,
  });
  const [user] = await database.query<StoredUser>('select * from users');
  t.equal(body.user_id, Number(user!.id), 'a number, not a text');
  t.equal(user!.phone_number_e164, '+33123456789');
  const cost = hashCost(user!.password_hash);
  t.ok(cost.m >= 19_456 && cost.t >= 2, 'at least the OWASP minimum');
  t.same(cost, { m: argon2MemoryKib, t: argon2Iterations, p: 1 });
  t.equal((await logIn(app, { phone_number: '0123456789', password: GOOD_PASSWORD })).statusCode, 200);
});

t.test('A1 paths work with and without the trailing slash, and the number comes back as it was written', async (t) => {
  const { app, database } = await startAuth(t);
  const written = '+33 1 99 00 00 01';
  for (const [url, phoneNumber] of [['/api/register', nextNumber()], ['/api/register/', written]] as const) {
    const answer = await app.inject({ method: 'POST', url, payload: { phone_number: phoneNumber, password: GOOD_PASSWORD } });
    t.equal(answer.statusCode, 201, url);
    t.equal(answer.json<{ phone_number: string }>().phone_number, phoneNumber);
  }
  for (const url of ['/api/login', '/api/login/']) {
    const answer = await app.inject({
      method: 'POST',
      url,
      payload: { phone_number: '0199000001', password: GOOD_PASSWORD },
    });
    t.equal(answer.statusCode, 200, url);
    t.equal(answer.json<{ phone_number: string }>().phone_number, written, 'as written at registration');
  }
  const rows = await database.query('select type, seq::int, payload from outbox where user_id = 2 order by seq');
  const data = { user_id: 2, phone_number: written };
  t.same(rows, [
    { type: 'user.registered', seq: 1, payload: data },
    { type: 'user.login', seq: 2, payload: data },
    { type: 'user.login', seq: 3, payload: data },
  ]);
});

t.test('A1 a login opens a session of its own with fresh tokens', async (t) => {
  const { app, database } = await startAuth(t);
  const phoneNumber = nextNumber();
  const body = { phone_number: phoneNumber, password: GOOD_PASSWORD };
  const answers = [await register(app, body), await logIn(app, body), await logIn(app, body)];
  const tokens = answers.map((answer) => answer.json<{ access: string; refresh: string; user_id: number }>());
  t.equal(new Set(tokens.map(({ access }) => access)).size, 3);
  t.equal(new Set(tokens.map(({ refresh }) => refresh)).size, 3);
  t.equal(new Set(tokens.map(({ user_id }) => user_id)).size, 1);
  const [sessions] = await database.query('select count(*)::int as count from sessions where revoked_at is null');
  t.same(sessions, { count: 3 });
});
