// If this breaks, whoever gets hold of a backup or of the logs can log in as everybody.
import { readStream, waitFor, type TestDatabase } from '@infrasignal/testkit';
import t from 'tap';
import { startAuthProcess } from './service.ts';

interface Tokens {
  access: string;
  refresh: string;
}

/** Every row of every table that is not PostgreSQL's own, as text. */
async function dump(database: TestDatabase): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  const rows = await Promise.all(
    tables.map(async ({ name }) => {
      const found = await database.query<{ row: string }>(`select r::text as row from ${name} r`);
      return found.map(({ row }) => `${name} ${row}`).join('\n');
    }),
  );
  return rows.join('\n');
}

/** What nobody has published yet would be missing in the stream. */
async function waitUntilPublished(database: TestDatabase): Promise<void> {
  const unpublished = (): Promise<unknown[]> => database.query('select 1 from outbox where published_at is null');
  await waitFor(async () => (await unpublished()).length === 0, {
    description: 'every event to be published',
  });
}

/** The ways in which a text can hide in another. */
function disguises(text: string): string[] {
  const bytes = Buffer.from(text);
  const encoded = [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url')];
  return [text, JSON.stringify(text).slice(1, -1), encodeURIComponent(text), ...encoded];
}

t.test('A25 no password, no refresh token and no access token is in the database, the stream or the logs', async (t) => {
  const { service, database, nats, send } = await startAuthProcess(t, { LOG_LEVEL: 'trace' });
  const secrets = new Set<string>();
  let made = 0;
  const canary = (): string => {
    made += 1;
    const password = `canary "${made}" of a pässword`;
    secrets.add(password);
    return password;
  };
  const phoneNumber = '+33123456789';
  const password = canary();
  const keep = async (answer: Response, status: number): Promise<Tokens> => {
    t.equal(answer.status, status);
    const { access, refresh } = (await answer.json()) as Tokens;
    for (const secret of [access, access.split('.')[2]!, refresh, refresh.split('.')[3]!]) secrets.add(secret);
    return { access, refresh };
  };
  const refuse = async (answer: Response, ...statuses: number[]): Promise<void> => {
    t.ok(statuses.includes(answer.status), `${answer.status}`);
    await answer.arrayBuffer();
  };
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

  const registration = { phone_number: phoneNumber, password };
  const key = { 'idempotency-key': 'canary-of-an-idempotency-key' };
  secrets.add(key['idempotency-key']);
  const first = await keep(await send('POST', '/api/register/', registration, key), 201);
  t.equal((await keep(await send('POST', '/api/register/', registration, key), 201)).refresh, first.refresh);
  const second = await keep(await send('POST', '/api/login/', { phone_number: phoneNumber, password }), 200);
  await refuse(await send('POST', '/api/login/', { phone_number: phoneNumber, password: canary() }), 401);
  await refuse(await send('POST', '/api/login/', { phone_number: '+33199999999', password: canary() }), 401);
  await refuse(await send('POST', '/api/register/', { phone_number: phoneNumber, password: canary() }), 409);
  await refuse(await send('POST', '/api/register/', { phone_number: '12', password: canary() }), 400);
  await refuse(await send('POST', '/api/register/', { phone_number: phoneNumber, password: [canary()] }), 400);
  await refuse(await send('POST', '/api/register/', `{"password": "${canary()}`), 400);
  await refuse(await send('POST', '/api/login/', `password=${canary()}`, { 'content-type': 'text/plain' }), 415);
  await refuse(await send('POST', `/api/login/?password=${encodeURIComponent(canary())}`, {}), 400);
  await refuse(await send('GET', `/nowhere?token=${first.access}`, undefined, bearer(first.access)), 404);
  await refuse(await send('GET', `/%zz?token=${first.access}`, undefined, { cookie: `token=${first.refresh}` }), 404);
  await refuse(await send('POST', '/api/token/verify/', { token: first.access }), 200);
  await refuse(await send('POST', '/api/token/verify/', { token: `${first.access}x` }), 401);
  const third = await keep(await send('POST', '/api/token/refresh/', { refresh: second.refresh }), 200);
  await refuse(await send('POST', '/api/token/refresh/', { refresh: `${third.refresh}x` }), 401);
  await refuse(await send('GET', '/api/me/', undefined, bearer(third.access)), 200);
  await refuse(await send('GET', '/api/me/', undefined, bearer(`${third.access}x`)), 401);
  const change = { current_password: password, new_password: canary() };
  await refuse(await send('POST', '/api/password/change/', change, bearer(third.access)), 200, 204);
  await refuse(await send('POST', '/api/logout/', {}, bearer(third.access)), 200, 204);

  await waitUntilPublished(database);
  // Errors of ours are what logs tell most of.
  await database.query('alter table outbox rename to outbox_away');
  await refuse(await send('POST', '/api/register/', { phone_number: '+33123456700', password: canary() }), 500);
  await refuse(await send('POST', '/api/login/', { phone_number: phoneNumber, password: change.new_password }), 500);
  await database.query('alter table outbox_away rename to outbox');
  await waitUntilPublished(database);
  t.same(await service.stop(), { code: 0, signal: null });

  const stream = JSON.stringify(await readStream({ url: nats.url, stream: 'EVENTS' }));
  const places = { database: await dump(database), stream, logs: service.logs() };
  t.match(places.database, '$argon2id$', 'the dump has what it should have');
  t.match(places.database, phoneNumber);
  t.match(places.stream, phoneNumber);
  t.match(places.logs, '"path":"/api/register/"');
  t.match(places.logs, 'Failed query', 'also of a statement that failed');
  for (const [name, text] of Object.entries(places)) {
    const found = [...secrets].filter((secret) => disguises(secret).some((disguise) => text.includes(disguise)));
    t.same(found, [], `${name}: none of ${secrets.size} secrets`);
  }
  t.notMatch(places.logs, /\$argon2id\$|33123456|SECRET_KEY|a test key/, 'nor hashes, numbers or keys in the logs');
});
