// If this breaks, a setup that cannot work is called healthy, or one that works is not; and the person in front of it
// is told nothing that helps.
import { createTestDatabase, startTestNats, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { createAuthDatabase, startAuth, testEnvironment } from '../auth-fixture.ts';
import { infrasignalWith, readJson } from '../command-line.ts';

interface Finding {
  readonly about: string;
  readonly state: 'good' | 'doubtful' | 'bad';
  readonly text: string;
  readonly cure?: string;
}

async function examine(environment: Record<string, string>): Promise<{ code: number; findings: Finding[] }> {
  const run = await infrasignalWith(environment, 'doctor', '--json');
  return { code: run.code, findings: readJson<{ findings: Finding[] }>(run).findings };
}

const describe = ({ about, state, text }: Finding): string => `${about} ${state}: ${text}`;

test('doctor finds nothing wrong where everything runs', async (t) => {
  const { database, nats } = await startAuth(t);
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  await waitFor(async () => (await examine(environment)).findings.some(({ text }) => text.startsWith('published by')));
  const { code, findings } = await examine(environment);
  t.equal(code, 0);
  t.strictSame(findings.filter(({ state }) => state === 'bad'), []);
  for (const about of ['configuration', 'limits', 'hashes', 'database', 'outbox', 'broker', 'clocks']) {
    t.ok(findings.some((finding) => finding.about === about), `it looked at ${about}`);
  }
  const doubts = findings.filter(({ state }) => state === 'doubtful').map(({ text }) => text).join('\n');
  t.match(doubts, /a password hash takes 256 KiB/, 'hashes are cheap in tests');
  t.match(doubts, /nobody reads the stream EVENTS/);
});

test('doctor names each thing that is wrong, with what to do', async (t) => {
  const [fixture, emptyDatabase, otherNats] = await Promise.all([startAuth(t), createTestDatabase(t), startTestNats(t)]);
  const good = testEnvironment({ databaseUrl: fixture.database.url, natsUrl: fixture.nats.url });
  const cases: [string, Record<string, string>, RegExp][] = [
    ['no secret', { SECRET_KEY: '' }, /configuration bad: SECRET_KEY is not set/],
    ['nonsense', { PORT: 'nonsense' }, /configuration bad: PORT/],
    ['nobody at the database', { DATABASE_URL: 'postgres://127.0.0.1:1/none' }, /database bad: it does not answer.*ECONNREFUSED/],
    ['no such database', { DATABASE_URL: `${fixture.database.url}-none` }, /database bad: .*does not exist/],
    ['no schema', { DATABASE_URL: emptyDatabase.url }, /database bad: the schema lacks \d+ migrations: 0000_/],
    ['another secret', { SECRET_KEY: 'another test key, just as long: 0123456789 0123456789' }, /database bad: the signing keys do not open/],
    ['nobody at the broker', { NATS_URL: 'nats://127.0.0.1:1' }, /broker bad: it does not answer/],
    ['a new broker', { NATS_URL: otherNats.url }, /broker doubtful: there is no stream EVENTS yet/],
    ['too few threads', { HASH_CONCURRENCY: '16' }, /limits doubtful: only 2 of 16 hashes/],
    ['open to guessing', { DEBUG: 'true' }, /configuration doubtful: DEBUG is on/],
  ];
  for (const [name, change, expected] of cases) {
    const { code, findings } = await examine({ ...good, ...change });
    const found = findings.find((finding) => expected.test(describe(finding)));
    t.ok(found, `${name}: ${findings.map(describe).join(' | ')}`);
    t.ok(found?.cure, 'it says what to do');
    t.equal(code, findings.some(({ state }) => state === 'bad') ? 1 : 0);
  }
});

test('doctor changes nothing', async (t) => {
  const database = await createAuthDatabase(t);
  const nats = await startTestNats(t);
  await examine(testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }));
  t.strictSame(await database.query('select * from signing_keys'), []);
  t.strictSame(await database.query('select * from outbox_relay'), []);
});
