// If this breaks, an overloaded service locks people out, counts are lost in a race, or the tables grow for ever.
import { commonErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import { waitFor } from '@infrasignal/testkit';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import t from 'tap';
import * as schema from '../../src/db/schema/index.ts';
import { LoginAttempts, type LoginLimits } from '../../src/features/login-attempts/index.ts';
import { createAuthDatabase } from '../auth-fixture.ts';
import { nextNumber, toE164 } from '../requests.ts';
import { passSeconds } from './guessing.ts';

const database = await createAuthDatabase(t);
const pool = new pg.Pool({ connectionString: database.url, max: 8 });
t.teardown(() => pool.end());
const db = drizzle(pool, { schema });

const LIMITS: LoginLimits = {
  failuresBeforeDelay: 3,
  delaySeconds: 10,
  delayMaxSeconds: 100,
  failuresMax: 6,
  loginsPerAddress: { usesMax: 1_000, usesPerHour: 1 },
  registrationsPerAddress: { usesMax: 2, usesPerHour: 1 },
  sprayingAccountsMin: 1_000,
};

function createAttempts(limits: Partial<LoginLimits> = {}): LoginAttempts {
  const nothing = (): void => undefined;
  return new LoginAttempts({
    db,
    secretKey: 'a test key that is long enough to be one: 0123456789',
    limits: { ...LIMITS, ...limits },
    clock: Date.now,
    onSpraying: nothing,
    onPasswordDisabled: nothing,
    onError: (error) => t.fail(String(error)),
  });
}

const attempts = createAttempts();
const nobody = sql`select 1::float8 as "userId" where false`;

function applicant(phoneNumberE164: string, address = '203.0.113.1') {
  return { phoneNumberE164, password: 'any', address, device: null };
}

type Outcome = 'wrong' | 'right' | 'overloaded' | 'broken';

/** @returns `tried`, or the seconds to wait */
async function attempt(of: LoginAttempts, phoneNumberE164: string, outcome: Outcome = 'wrong'): Promise<string> {
  try {
    await of.logIn(applicant(phoneNumberE164), nobody, async (_found, forgetting) => {
      if (outcome === 'overloaded') throw new ProblemError(commonErrors.service_unavailable);
      if (outcome === 'broken') throw new Error('broken');
      if (outcome === 'wrong') return null;
      await db.execute(sql`with account as (select 1), forgotten as (${forgetting('account')}) select 1`);
      return 'in';
    });
    return 'tried';
  } catch (error) {
    if (!(error instanceof ProblemError) || error.definition !== commonErrors.throttled) return String(error);
    return String(error.headers['retry-after']);
  }
}

t.test('A12 an attempt that came to no verdict did not happen', async (t) => {
  for (const outcome of ['overloaded', 'broken'] as const) {
    const number = toE164(nextNumber());
    for (let time = 0; time < 10; time += 1) {
      t.not(await attempt(attempts, number, outcome), '10', 'however often');
    }
    t.equal(await attempt(attempts, number), 'tried');
    t.equal(await attempt(attempts, number), 'tried');
    await attempt(attempts, number, outcome);
    t.equal(await attempt(attempts, number), 'tried', 'the third is still there');
    t.equal(await attempt(attempts, number), '10');
  }
});

t.test('A12 of many at once that are taken back, none is counted', async (t) => {
  await database.query('truncate login_failures');
  const number = toE164(nextNumber());
  await attempt(attempts, number);
  await Promise.all(Array.from({ length: 40 }, () => attempt(attempts, number, 'overloaded')));
  // An answer waits for half a second at most for what it gives back.
  const givenBack = 'select 1 from login_failures where failures = 1 and blocked_until <= clock_timestamp()';
  await waitFor(async () => (await database.query(givenBack)).length === 1, { description: 'all to be taken back' });
  t.strictSame(
    [await attempt(attempts, number), await attempt(attempts, number), await attempt(attempts, number)],
    ['tried', 'tried', '10'],
  );
});

t.test('A12 right and wrong ones at once leave no deadlock, and right ones are not counted', async (t) => {
  await database.query('truncate login_failures');
  const number = toE164(nextNumber());
  const patient = createAttempts({ failuresBeforeDelay: 1_000, failuresMax: 1_000 });
  const outcomes: Outcome[] = ['right', 'wrong', 'overloaded', 'right'];
  const all = await Promise.all(
    Array.from({ length: 200 }, (_, at) => attempt(patient, number, outcomes[at % outcomes.length])),
  );
  const overloaded = new ProblemError(commonErrors.service_unavailable);
  t.strictSame(new Set(all), new Set(['tried', String(overloaded)]));
  await attempt(patient, number, 'right');
  t.strictSame(await database.query('select * from login_failures'), []);
});

t.test('A12 at the last failure that is allowed the password is tried, after it it is not', async (t) => {
  const number = toE164(nextNumber());
  const account = sql`select 7::float8 as "userId"`;
  const found: unknown[] = [];
  for (let time = 0; time < 7; time += 1) {
    await attempts.logIn<{ userId: number }, string>(applicant(number), account, async (candidate) => {
      found.push(candidate?.userId ?? null);
      return null;
    });
    await passSeconds(database, 100);
  }
  t.strictSame(found, [7, 7, 7, 7, 7, 7, null]);
});

t.test('A13 a registration that fails within is given back, one that is refused is not', async (t) => {
  const register = async (error: Error | null): Promise<string> => {
    try {
      return await attempts.register(applicant(toE164(nextNumber()), '203.0.113.20'), nobody, async () => {
        if (error !== null) throw error;
        return 'made';
      });
    } catch (thrown) {
      return thrown instanceof ProblemError ? thrown.definition.code : String(thrown);
    }
  };
  for (let time = 0; time < 5; time += 1) {
    t.equal(await register(new ProblemError(commonErrors.service_unavailable)), 'service_unavailable');
    t.equal(await register(new Error('broken')), 'Error: broken');
  }
  t.equal(await register(new ProblemError(commonErrors.not_found)), 'not_found');
  t.equal(await register(null), 'made');
  t.equal(await register(null), 'throttled');
});

t.test('A13 of many registrations at once no more pass than may', async (t) => {
  const register = (): Promise<boolean> =>
    attempts
      .register(applicant(toE164(nextNumber()), '203.0.113.21'), nobody, async () => true)
      .catch(() => false);
  const passed = (await Promise.all(Array.from({ length: 30 }, register))).filter(Boolean);
  t.equal(passed.length, 2);
});

t.test('A12 A13 counts that mean nothing any more are removed, the others stay', async (t) => {
  await database.query('truncate login_failures, address_budgets');
  const fresh = toE164(nextNumber());
  const many = createAttempts({ loginsPerAddress: { usesMax: 10_000, usesPerHour: 1 } });
  for (let time = 0; time < 1_500; time += 100) {
    await Promise.all(Array.from({ length: 100 }, () => attempt(many, toE164(nextNumber()))));
  }
  await passSeconds(database, 2_000 * 3_600);
  await attempt(attempts, fresh);
  const count = async (): Promise<unknown> =>
    database.query(`select (select count(*)::int from login_failures) as failures,
      (select count(*)::int from address_budgets) as budgets`);
  t.strictSame(await count(), [{ failures: 1_501, budgets: 1 }]);
  await Promise.all([attempts.cleanUp(), many.cleanUp()]);
  await attempts.cleanUp();
  t.strictSame(await count(), [{ failures: 1, budgets: 1 }]);
  await passSeconds(database, 3_600);
  await attempts.cleanUp();
  t.strictSame(await count(), [{ failures: 1, budgets: 0 }]);
});

t.test('R17 logins are counted by how they ended', async (t) => {
  const counted = createAttempts({ loginsPerAddress: { usesMax: 3, usesPerHour: 1 } });
  await database.query('truncate login_failures, address_budgets');
  const number = toE164(nextNumber());
  await attempt(counted, number, 'right');
  await attempt(counted, number, 'overloaded');
  await attempt(counted, number, 'broken');
  for (let time = 0; time < 3; time += 1) await attempt(counted, number);
  await attempt(counted, toE164(nextNumber()));
  t.strictSame(counted.stats, { ok: 1, wrong: 3, limited_account: 0, limited_address: 1, overloaded: 1, failed: 1 });
  await passSeconds(database, 3_600);
  await database.query("update login_failures set blocked_until = now() + interval '1 minute'");
  await attempt(counted, number);
  t.equal(counted.stats.limited_account, 1);
});
