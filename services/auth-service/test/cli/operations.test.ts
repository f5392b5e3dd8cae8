// If this breaks, whoever is woken at night cannot see whether events wait, why, and since when; or a deployment that
// migrates by command leaves the database behind.
import { createTestDatabase, readStream, startTestNats, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { createAuthDatabase, startAuth, testEnvironment } from '../auth-fixture.ts';
import { infrasignal, infrasignalWith, readJson } from '../command-line.ts';
import { createAccount } from '../requests.ts';

interface OutboxStatus {
  readonly waiting: number;
  readonly kept: number;
  readonly leader: string | null;
}

test('outbox status says what waits and who publishes', async (t) => {
  const fixture = await startAuth(t);
  await createAccount(fixture.app);
  const status = async (): Promise<OutboxStatus> =>
    readJson(await infrasignal(fixture, 'outbox', 'status', '--json'));
  await waitFor(async () => (await status()).kept === 1);
  t.match(await infrasignal(fixture, 'outbox', 'status'), { code: 0, out: /^0 events wait\.\n1 are stored/ });
  t.match((await status()).leader, /PostgreSQL process \d+/);

  await fixture.nats.kill();
  const { user_id: userId } = await createAccount(fixture.app);
  t.match(await infrasignal(fixture, 'outbox', 'status'), { out: new RegExp(`1 events wait[^]*user ${userId}: 1 events`) });
  await fixture.database.query(`update outbox set created_at = now() - interval '1 minute' where published_at is null`);
  t.match(await infrasignal(fixture, 'outbox', 'status'), { code: 1, out: /the oldest for 6\d\.\d s/ });

  await fixture.app.close();
  t.match(await infrasignal(fixture, 'outbox', 'status'), { code: 1, out: /No instance publishes/ });
});

test('outbox replay brings back what the broker lost, and repeats nothing that it has', async (t) => {
  const fixture = await startAuth(t);
  const { user_id: userId } = await createAccount(fixture.app);
  await createAccount(fixture.app);
  const stored = async (): Promise<number> =>
    (await readStream({ url: fixture.nats.url, stream: 'EVENTS', subject: 'users.>' })).length;
  const isThrough = async (): Promise<boolean> =>
    readJson<OutboxStatus>(await infrasignal(fixture, 'outbox', 'status', '--json')).kept === 2;
  await waitFor(isThrough);
  t.match(await infrasignal(fixture, 'outbox', 'replay'), { code: 0, out: /^2 events are due/ });
  await waitFor(isThrough);
  t.equal(await stored(), 2, 'recognised by their ids');
  t.match(await infrasignal(fixture, 'outbox', 'replay', String(userId)), { code: 0, out: /^1 events are due/ });
  await waitFor(isThrough);
  t.equal(await stored(), 2);
});

test('stream status says what is stored, and that nothing is when there is no stream', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  t.match(await infrasignal({ database, nats }, 'stream', 'status'), { code: 1, out: /^EVENTS: does not exist/ });
  const fixture = await startAuth(t);
  await createAccount(fixture.app);
  await waitFor(async () => {
    const run = await infrasignal(fixture, 'stream', 'status', '--json');
    const { streams } = readJson<{ streams: { name: string; messages?: number }[] }>(run);
    return run.code === 0 && streams.some(({ name, messages }) => name === 'EVENTS' && messages === 1);
  });
  t.match((await infrasignal(fixture, 'stream', 'status')).out, /^EVENTS: 1 messages, 0\.0 MiB, from \d{4}-.+\n {2}one copy/);
  await fixture.nats.kill();
  t.match(await infrasignal(fixture, 'stream', 'status'), { code: 1, error: /infrasignal stream status: / });
});

test('migrate says what is missing, applies it, and finds nothing left', async (t) => {
  const database = await createTestDatabase(t);
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: 'nats://127.0.0.1:1' });
  const missing = await infrasignalWith(environment, 'migrate', '--dry-run', '--json');
  t.equal(missing.code, 3);
  const names = readJson<{ missing: string[] }>(missing).missing;
  t.match(names[0], /^0000_/);
  t.equal((await infrasignalWith(environment, 'migrate', '--dry-run')).code, 3, 'it changed nothing');
  const applied = await infrasignalWith(environment, 'migrate', '--json');
  t.equal(applied.code, 0, applied.error);
  t.strictSame(readJson<{ applied: string[] }>(applied).applied, names);
  t.match(await infrasignalWith(environment, 'migrate', '--dry-run'), { code: 0, out: /has the schema of this release/ });
});
