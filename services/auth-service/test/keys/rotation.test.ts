// If this breaks: a key that leaked signs for ever, instances sign with keys that the others do not know, or changing
// SECRET_KEY signs everybody out.
import type { TokenResponse } from '@infrasignal/shared';
import { startTestNats, waitFor } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createAuthDatabase, startAuth, testEnvironment } from '../auth-fixture.ts';
import { createAccount, post } from '../requests.ts';

const FIRST_SECRET = testEnvironment({ databaseUrl: '', natsUrl: '' }).SECRET_KEY ?? '';
const SECOND_SECRET = 'the second secret of this test: 9876543210 abcdefgh';

const kidOf = ({ access }: TokenResponse): string =>
  (JSON.parse(Buffer.from(access.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;

const isVerified = async (app: FastifyInstance, { access }: TokenResponse): Promise<boolean> =>
  (await post(app, '/api/token/verify/', { token: access })).statusCode === 200;

test('A18 of several instances one makes the new key when it is time, and all follow', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  const apps = await Promise.all([1, 2, 3].map(() => buildApp(loadConfig(environment))));
  t.teardown(() => Promise.all(apps.map((app) => app.close())));
  await Promise.all(apps.map((app) => app.ready()));
  const first = await Promise.all(apps.map((app) => createAccount(app)));
  t.equal(new Set(first.map(kidOf)).size, 1, 'instances that started together share one key');

  await database.query(`update signing_keys set created_at = now() - interval '31 days'`);
  await waitFor(async () => (await database.query('select 1 from signing_keys')).length > 1);
  const isFollowed = async (): Promise<boolean> => {
    const tokens = await Promise.all(apps.map((app) => createAccount(app)));
    return tokens.every((token) => kidOf(token) !== kidOf(first[0] ?? token));
  };
  await waitFor(isFollowed, { description: 'every instance to sign with the new key' });
  const keys = await database.query<{ retired: boolean }>('select retired_at is not null as retired from signing_keys');
  t.strictSame(keys.map(({ retired }) => retired).sort(), [false, true], 'one new key, made once');
  for (const app of apps) {
    for (const tokens of first) t.ok(await isVerified(app, tokens), 'tokens of the old key verify everywhere');
  }
});

test('A18 a token signed by a key that another instance made a moment ago is verified at once', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  const here = await buildApp(loadConfig(environment));
  t.teardown(() => here.close());
  await here.ready();
  await createAccount(here);
  await database.query(`update signing_keys set created_at = now() - interval '31 days', retired_at = now()`);
  // An instance that starts finds no signing key and makes one; the other has not looked again yet.
  const there = await buildApp(loadConfig(environment));
  t.teardown(() => there.close());
  await there.ready();
  const tokens = await createAccount(there);
  await waitFor(() => isVerified(here, tokens), { timeoutMs: 3_000 });
  t.ok(await isVerified(here, tokens));
});

test('A16 a new SECRET_KEY with the former one as fallback signs nobody out', async (t) => {
  const { app, database, nats } = await startAuth(t);
  const tokens = await createAccount(app);
  const sealed = async (): Promise<unknown> =>
    (await database.query('select private_key_encrypted from signing_keys'))[0]?.private_key_encrypted;
  const before = await sealed();
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  const rotated = { ...environment, SECRET_KEY: SECOND_SECRET, SECRET_KEY_FALLBACKS: FIRST_SECRET };
  const next = await buildApp(loadConfig(rotated));
  t.teardown(() => next.close());
  await next.ready();
  t.ok(await isVerified(next, tokens));
  const refreshed = await post(next, '/api/token/refresh/', { refresh: tokens.refresh });
  t.equal(refreshed.statusCode, 200);
  t.equal(kidOf(refreshed.json()), kidOf(tokens), 'the signing key is the same');
  t.notSame(await sealed(), before, 'and is now under the new secret');

  const later = await buildApp(loadConfig({ ...environment, SECRET_KEY: SECOND_SECRET }));
  t.teardown(() => later.close());
  const renewed = refreshed.json<TokenResponse>();
  t.equal((await post(later, '/api/token/refresh/', { refresh: renewed.refresh })).statusCode, 200, 'no fallback needed');
  t.equal(
    (await post(later, '/api/token/refresh/', { refresh: tokens.refresh })).statusCode,
    401,
    'what the former secret made is no longer recognised',
  );
});

test('A32 a SECRET_KEY that does not open the signing keys is refused by name, and changes nothing', async (t) => {
  const { app, database, nats } = await startAuth(t);
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  await t.rejects(buildApp(loadConfig({ ...environment, SECRET_KEY: SECOND_SECRET })), /SECRET_KEY/);
  t.ok(await isVerified(app, await createAccount(app)), 'the running instance goes on');
});
