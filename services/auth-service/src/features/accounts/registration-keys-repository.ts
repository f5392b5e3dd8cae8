import { sql, type SQL } from 'drizzle-orm';
import { registrationKeys, sessions, users } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { RegistrationKey } from './registration-keys.ts';

/**
 * A day: as long as a client that was closed over night may take to try again. A row is removed by a later
 * registration, so that it may live longer; never shorter.
 */
const REGISTRATION_KEY_TTL_SECONDS = 86_400;

/** Rows that one registration removes: more than it adds, so that they never pile up; few, so that it stays quick. */
const EXPIRED_ROWS_MAX = 10;

/** The insert of a registration's key for use as a CTE, for the user that the CTE named `from` returns. */
export function insertRegistrationKey({ keyMac, requestMac }: RegistrationKey, sessionId: string, from: string): SQL {
  return sql`insert into ${registrationKeys} (key_mac, request_mac, session_id)
    select ${keyMac}::text, ${requestMac}::text, ${sessionId}::uuid from ${sql.identifier(from)}`;
}

/** The removal of old keys for use as a CTE. Two registrations at once do not wait for each other's rows. */
export function deleteExpiredKeys(): SQL {
  return sql`delete from ${registrationKeys} where key_mac in (
    select key_mac from ${registrationKeys}
    where created_at < now() - make_interval(secs => ${REGISTRATION_KEY_TTL_SECONDS})
    order by created_at limit ${EXPIRED_ROWS_MAX} for update skip locked)`;
}

/** The registration that a key was first used for. */
export interface EarlierRegistration {
  readonly keyMac: string;
  readonly requestMac: string;
  /** How often it was asked for again, this time included. */
  readonly retryCount: number;
  /** What its answer is made of; null when the answer's session was refreshed or has ended. */
  readonly answer: {
    readonly sessionId: string;
    readonly userId: number;
    readonly phoneNumber: string;
    readonly scopes: readonly string[];
    readonly passwordHash: string;
    /** How long the first refresh token still lives unused, in seconds. */
    readonly refreshTtlSeconds: number;
  } | null;
}

/** Finds what a key was used for and counts the retry; null for a key that was not used yet. */
export async function countRetry(
  db: Database,
  candidates: readonly RegistrationKey[],
): Promise<EarlierRegistration | null> {
  const keyMacs = sql.join(candidates.map(({ keyMac }) => sql`${keyMac}`), sql`, `);
  const { rows } = await db.execute<
    Pick<EarlierRegistration, 'keyMac' | 'requestMac' | 'retryCount'> & NonNullable<EarlierRegistration['answer']>
  >(sql`
    with retry as (
      update ${registrationKeys} set retry_count = retry_count + 1 where key_mac in (${keyMacs}) returning *
    )
    select retry.key_mac as "keyMac", retry.request_mac as "requestMac", retry.retry_count as "retryCount",
      s.id as "sessionId", u.id::float8 as "userId", u.phone_number as "phoneNumber", u.scopes,
      u.password_hash as "passwordHash",
      floor(extract(epoch from s.idle_expires_at - now()))::int as "refreshTtlSeconds"
    from retry
    left join (${sessions} s join ${users} u on u.id = s.user_id)
      on s.id = retry.session_id and s.refresh_counter = 0 and s.revoked_at is null and s.idle_expires_at > now()
      and u.disabled_at is null and u.password_hash is not null`);
  const [row] = rows;
  if (row === undefined) return null;
  const { keyMac, requestMac, retryCount, ...answer } = row;
  return { keyMac, requestMac, retryCount, answer: (answer.sessionId as string | null) === null ? null : answer };
}
