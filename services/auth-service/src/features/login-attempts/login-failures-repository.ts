import { eq, sql, type SQL } from 'drizzle-orm';
import { executePrepared } from '../../db/prepared-statement.ts';
import { loginFailures, users } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { budgetWait } from './address-budgets-repository.ts';
import { STRANGERS } from './attempt-keys.ts';
import type { LoginLimits } from './login-limits.ts';
import { withoutWaitingForDisk } from './relaxed-commit.ts';

/** Whose failures a row counts. */
export interface FailureKey {
  readonly accountKey: string;
  readonly sourceKey: string;
}

/**
 * A few mistakes are forgotten after a day of silence. Shorter gives a patient guesser more tries a day than the
 * waits do; longer keeps a row of every number that somebody mistyped.
 */
const FEW_FAILURES_TTL_SECONDS = 86_400;

/** From the first wait on they count for 30 days, so that guessing cannot be spread to stay below the end. */
const MANY_FAILURES_TTL_SECONDS = 30 * 86_400;

/** 2^30 seconds are longer than any longest wait; more doublings would overflow for nothing. */
const DOUBLINGS_MAX = 30;

type Waits = Pick<LoginLimits, 'failuresBeforeDelay' | 'delaySeconds' | 'delayMaxSeconds' | 'failuresMax'>;

/** When the next attempt may come after `failures` in a row. */
function nextAttempt(failures: SQL, limits: Waits): SQL {
  const { failuresBeforeDelay, delaySeconds, delayMaxSeconds } = limits;
  const doublings = sql`least(${failures} - ${failuresBeforeDelay}::int, ${DOUBLINGS_MAX}::int)`;
  return sql`clock_timestamp() + make_interval(secs => case
    when ${failures} < ${failuresBeforeDelay}::int then 0
    else least(${delayMaxSeconds}::float8, ${delaySeconds}::float8 * power(2::float8, ${doublings})) end)`;
}

/** How long `failures` in a row are remembered. At the end of guessing: until the password is reset. */
function expiry(failures: SQL, { failuresBeforeDelay, failuresMax }: Waits): SQL {
  return sql`case
    when ${failures} >= ${failuresMax}::int then 'infinity'::timestamptz
    when ${failures} >= ${failuresBeforeDelay}::int then clock_timestamp() + make_interval(secs => ${MANY_FAILURES_TTL_SECONDS})
    else clock_timestamp() + make_interval(secs => ${FEW_FAILURES_TTL_SECONDS}) end`;
}

/** The row that counts one more attempt; `counted` is what the conflicting row is called. */
const oneMore = sql`case when counted.expires_at <= clock_timestamp() then 1 else counted.failures + 1 end`;

/**
 * Counts an attempt as a failure before its password is looked at, unless it has to wait: of any number of attempts at
 * once no more pass than may. `source` and `admitted` are CTEs that the caller puts in front.
 */
function reserve(accountKey: string, limits: Waits): SQL {
  return sql`
    blocked as (
      select extract(epoch from max(f.blocked_until) - clock_timestamp())::float8 as wait_seconds
      from ${loginFailures} f join source on source.key = f.source_key
      where f.account_key = ${accountKey} and f.blocked_until > clock_timestamp()
    ), reserved as (
      insert into ${loginFailures} as counted (account_key, source_key, failures, blocked_until, expires_at)
      select ${accountKey}::text, admitted.key, 1, ${nextAttempt(sql`1`, limits)}, ${expiry(sql`1`, limits)}
      from admitted where not exists (select 1 from blocked where wait_seconds > 0)
      on conflict (account_key, source_key) do update set
        failures = ${oneMore}, blocked_until = ${nextAttempt(oneMore, limits)}, expires_at = ${expiry(oneMore, limits)}
      where counted.blocked_until <= clock_timestamp()
      returning failures
    )`;
}

/** What came of asking for an attempt. */
export interface Reservation {
  /** A device that logged in to this account before. */
  readonly isKnown: boolean;
  /** How often the password was tried in a row, this time included; null: not now. */
  readonly failures: number | null;
  /** Seconds that the address has to wait; null if it need not. */
  readonly addressWaitSeconds: number | null;
  /** Seconds that the account, or the device, has to wait. Null if it need not, or began to wait this instant. */
  readonly waitSeconds: number | null;
}

export interface LoginReservation {
  readonly phoneNumberE164: string;
  readonly accountKey: string;
  readonly addressKey: string;
  /** The device's key and the accounts that it says it logged in to; null for a stranger. */
  readonly device: { readonly key: string; readonly userIds: readonly number[] } | null;
}

/**
 * Asks for an attempt to log in and finds what it is about, in one statement.
 * @param find a SELECT of at most one row, whose columns are handed back
 */
export async function reserveLogin<Found extends object>(
  db: Database,
  { phoneNumberE164, accountKey, addressKey, device }: LoginReservation,
  limits: LoginLimits,
  find: SQL,
): Promise<{ reservation: Reservation; found: Found | null }> {
  const isOfDevice = sql`exists (select 1 from ${users}
    where phone_number_e164 = ${phoneNumberE164} and id = any(${sql.param(device?.userIds ?? [])}::bigint[]))`;
  type Row = { reservation: Reservation; hasFound: boolean } & Found;
  const [row] = await executePrepared<Row>(db, sql`
    with source as (
      select case when ${isOfDevice} then ${device?.key ?? STRANGERS}::text else ${STRANGERS}::text end as key
    ), budget as (
      select ${budgetWait(addressKey, limits.loginsPerAddress)} as wait_seconds
    ), admitted as (
      select source.key from source, budget
      where source.key <> ${STRANGERS} or coalesce(budget.wait_seconds, 0) <= 0
    ), ${reserve(accountKey, limits)}
    select json_build_object(
        'isKnown', source.key <> ${STRANGERS}, 'failures', reserved.failures, 'waitSeconds', blocked.wait_seconds,
        'addressWaitSeconds', case when admitted.key is null then budget.wait_seconds end) as reservation,
      found.is_found is not null as "hasFound", found.*, ${withoutWaitingForDisk()}
    from source cross join budget cross join blocked
      left join admitted on true left join reserved on true
      left join (select true as is_found, candidate.* from (${find}) as candidate) as found on true`);
  if (row === undefined) throw new Error('an attempt was neither counted nor refused');
  const { reservation, hasFound, ...found } = row;
  return { reservation, found: hasFound ? (found as unknown as Found) : null };
}

/** Asks for an attempt of somebody who is known, which concerns no address. */
export async function reserveProof(
  db: Database,
  { accountKey, sourceKey }: FailureKey,
  limits: Waits,
): Promise<Pick<Reservation, 'failures' | 'waitSeconds'>> {
  const { rows } = await db.execute<Pick<Reservation, 'failures' | 'waitSeconds'> & Record<string, unknown>>(sql`
    with source as (select ${sourceKey}::text as key), admitted as (select key from source),
    ${reserve(accountKey, limits)}
    select reserved.failures, blocked.wait_seconds as "waitSeconds", ${withoutWaitingForDisk()}
    from blocked left join reserved on true`);
  const [row] = rows;
  if (row === undefined) throw new Error('an attempt was neither counted nor refused');
  return row;
}

/** Counts a failure of somebody who was not asked for it beforehand. */
export async function countFailure(db: Database, { accountKey, sourceKey }: FailureKey, limits: Waits): Promise<void> {
  await db.execute(sql`
    insert into ${loginFailures} as counted (account_key, source_key, failures, blocked_until, expires_at)
    values (${accountKey}, ${sourceKey}, 1, ${nextAttempt(sql`1`, limits)}, ${expiry(sql`1`, limits)})
    on conflict (account_key, source_key) do update set
      failures = ${oneMore}, expires_at = ${expiry(oneMore, limits)},
      blocked_until = greatest(counted.blocked_until, ${nextAttempt(oneMore, limits)})
    returning ${withoutWaitingForDisk()}`);
}

/**
 * Takes back an attempt whose password was never looked at.
 * @param failures what the reservation said; the wait that it began ends if nobody came after it
 */
export async function releaseAttempt(
  db: Database,
  { accountKey, sourceKey }: FailureKey,
  failures: number,
  limits: Waits,
): Promise<void> {
  const oneLess = sql`greatest(failures - 1, 0)`;
  await db.execute(sql`
    update ${loginFailures} set
      failures = ${oneLess}, expires_at = ${expiry(oneLess, limits)},
      blocked_until = case when failures = ${failures} or failures <= ${limits.failuresBeforeDelay}
        then least(blocked_until, clock_timestamp()) else blocked_until end
    where account_key = ${accountKey} and source_key = ${sourceKey}
    returning ${withoutWaitingForDisk()}`);
}

/** Forgets the failures of one source after a success, as a DELETE for a CTE; only if the CTE `when` returned a row. */
export function clearFailures({ accountKey, sourceKey }: FailureKey, when: string): SQL {
  return sql`delete from ${loginFailures} where account_key = ${accountKey} and source_key = ${sourceKey}
    and exists (select 1 from ${sql.identifier(when)})`;
}

/** The E.164 number of an account; null for a service, and when there is none. */
export async function findPhoneNumber(db: Database, userId: number): Promise<string | null> {
  const [row] = await db.select({ phoneNumberE164: users.phoneNumberE164 }).from(users).where(eq(users.id, userId));
  return row?.phoneNumberE164 ?? null;
}

/** Forgets the failures of one source. */
export async function forgetSource(db: Database, { accountKey, sourceKey }: FailureKey): Promise<void> {
  await db.execute(sql`delete from ${loginFailures} where account_key = ${accountKey} and source_key = ${sourceKey}`);
}

/** Forgets every failure on an account, whoever made it. @returns how many sources had made one */
export async function forgetAccount(db: Database, accountKey: string): Promise<number> {
  const { rowCount } = await db.execute(sql`delete from ${loginFailures} where account_key = ${accountKey}`);
  return rowCount ?? 0;
}

/** {@link forgetAccount} as a DELETE for a CTE; only if the CTE `when` returned a row. */
export function clearAccount(accountKey: string, when: string): SQL {
  return sql`delete from ${loginFailures} where account_key = ${accountKey}
    and exists (select 1 from ${sql.identifier(when)})`;
}

/** Removes rows that mean nothing any more, at most `limit`. @returns how many; fewer than `limit`: there are no more */
export async function deleteExpired(db: Database, limit: number): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from ${loginFailures} where ctid in (
      select ctid from ${loginFailures} where expires_at <= now() order by expires_at
      limit ${limit} for update skip locked)`);
  return rowCount ?? 0;
}
