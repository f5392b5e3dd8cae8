import { userLogin } from '@infrasignal/shared';
import { and, desc, eq, gt, isNull, sql, type SQL } from 'drizzle-orm';
import { executePrepared, PreparedStatement } from '../../db/prepared-statement.ts';
import { sessions, users } from '../../db/schema/index.ts';
import { insertEvent } from '../../outbox/outbox-writer.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { RefreshTokenContent } from './refresh-token.ts';
import type { NewSession, SessionUser } from './session-opener.ts';

export interface LoginCandidate extends SessionUser {
  readonly passwordHash: string | null;
  readonly isDisabled: boolean;
}

/** The account of a number, with what a login is decided by, as a SELECT of a {@link LoginCandidate} or nothing. */
export function selectLoginCandidate(phoneNumberE164: string): SQL {
  return sql`select id::float8 as "userId", phone_number as "phoneNumber", scopes, password_hash as "passwordHash",
      disabled_at is not null as "isDisabled"
    from ${users} where phone_number_e164 = ${phoneNumberE164}`;
}

/** @returns null if there is no account with that number */
export async function findLoginCandidate(db: Database, phoneNumberE164: string): Promise<LoginCandidate | null> {
  const { rows } = await db.execute<LoginCandidate & Record<string, unknown>>(selectLoginCandidate(phoneNumberE164));
  return rows[0] ?? null;
}

/** What a login writes when the password was right. */
export interface NewLogin {
  readonly session: NewSession;
  /** Takes the place of the hash that was checked; null keeps it. */
  readonly renewedHash: string | null;
  /** Renders what a success forgets, for the account that the CTE of that name returns. */
  readonly forgetFailures: (when: string) => SQL;
}

/**
 * Opens a session and writes `user.login` in one statement, if the account is still the one whose password was checked.
 * @returns false when it was disabled, deleted or given another hash meanwhile; then nothing was written
 */
export async function insertLogin(
  db: Database,
  candidate: LoginCandidate,
  { session, renewedHash, forgetFailures }: NewLogin,
): Promise<boolean> {
  const rows = await executePrepared(db, sql`
    with account as (
      update ${users} set event_seq = event_seq + 1, last_login_at = now(),
        password_hash = coalesce(${renewedHash}, password_hash)
      where id = ${candidate.userId} and password_hash = ${candidate.passwordHash} and disabled_at is null
      returning id, event_seq, phone_number
    ), session as (
      ${session.insert('account')}
    ), event as (
      ${insertEvent({
        definition: userLogin,
        from: 'account',
        traceparent: session.traceparent,
        data: sql`jsonb_build_object('user_id', account.id, 'phone_number', account.phone_number)`,
      })}
    ), forgotten as (
      ${forgetFailures('account')}
    )
    select id from account`);
  return rows.length === 1;
}

const sessionId = sql.placeholder('sessionId');
const counter = sql.placeholder('counter');

/** On a row `s` of `sessions`: alive, and the refresh token of the counter is its current one or the one before. */
const isRefreshedBy = sql`s.revoked_at is null and s.idle_expires_at > now() and s.expires_at > now()
  and (s.refresh_counter = ${counter}
    or (s.refresh_counter = ${counter} + 1
      and s.rotated_at > clock_timestamp() - make_interval(secs => ${sql.placeholder('graceSeconds')})))`;

export interface Rotation {
  readonly idleTtlSeconds: number;
  /** How long the token before stays good, counted from the first rotation. */
  readonly graceSeconds: number;
}

export interface RotatedSession extends SessionUser {
  /** Counter of the token to hand out: the successor, whether this call made it or an earlier one. */
  readonly counter: number;
  /** How long the successor lives unused, in seconds. */
  readonly refreshTtlSeconds: number;
}

const rotationStatement = new PreparedStatement<
  RefreshTokenContent & Rotation,
  SessionUser & { counter: number; refreshTtlSeconds: number }
>('rotate_session', sql`
  update ${sessions} as s set
    refresh_counter = ${counter} + 1,
    rotated_at = case when s.refresh_counter = ${counter} then clock_timestamp() else s.rotated_at end,
    last_used_at = now(),
    idle_expires_at = least(now() + make_interval(secs => ${sql.placeholder('idleTtlSeconds')}), s.expires_at)
  from ${users} as u
  where s.id = ${sessionId}::uuid and u.id = s.user_id and u.disabled_at is null and ${isRefreshedBy}
  returning u.id::float8 as "userId", u.phone_number as "phoneNumber", u.scopes, s.refresh_counter as "counter",
    floor(extract(epoch from s.idle_expires_at - now()))::int as "refreshTtlSeconds"`);

/**
 * Decides a refresh in one conditional UPDATE: the current token rotates; the one before it, within the grace, is
 * answered with the same successor and changes nothing but the time of last use. Of any number of parallel calls one
 * rotates, the others wait for its row and find themselves within the grace.
 * @returns null for every other token, used, expired and revoked ones among them
 */
export async function rotateSession(
  db: Database,
  content: RefreshTokenContent,
  rotation: Rotation,
): Promise<RotatedSession | null> {
  const [row] = await rotationStatement.rows(db, { ...content, ...rotation });
  return row ?? null;
}

/** Whose session it is, whatever its state; null if there is none. */
export async function findSessionOwner(db: Database, sessionId: string): Promise<number | null> {
  const [row] = await db.select({ userId: sessions.userId }).from(sessions).where(eq(sessions.id, sessionId));
  return row?.userId ?? null;
}

const refreshableStatement = new PreparedStatement<RefreshTokenContent & Pick<Rotation, 'graceSeconds'>, object>(
  'find_refreshable',
  sql`
    select 1 from ${sessions} s join ${users} u on u.id = s.user_id
    where s.id = ${sessionId}::uuid and u.disabled_at is null and ${isRefreshedBy}`,
);

/** True while the refresh token of that counter would be accepted. */
export async function isRefreshable(
  db: Database,
  content: RefreshTokenContent,
  graceSeconds: number,
): Promise<boolean> {
  return (await refreshableStatement.rows(db, { ...content, graceSeconds })).length === 1;
}

/** A used token that came back after its grace, as a condition on a row of `sessions`. */
export function isReplayed({ sessionId, counter }: RefreshTokenContent, graceSeconds: number): ReturnType<typeof sql> {
  return sql`id = ${sessionId}::uuid and refresh_counter > ${counter}
    and not (refresh_counter = ${counter} + 1
      and rotated_at > clock_timestamp() - make_interval(secs => ${graceSeconds}))`;
}

const isLive = (): ReturnType<typeof and> =>
  and(isNull(sessions.revokedAt), gt(sessions.idleExpiresAt, sql`now()`), gt(sessions.expiresAt, sql`now()`));

/** The user of a session, and what the account says of them: whoever asks about themselves is answered with it. */
export interface LiveUser extends SessionUser {
  /** Null for a service. */
  readonly phoneNumberE164: string | null;
  readonly email: string | null;
  readonly createdAt: Date;
  readonly lastLoginAt: Date | null;
}

const liveUserStatement = new PreparedStatement<{ sessionId: string; userId: number }, LiveUser>(
  'find_live_user',
  sql`
    select u.id::float8 as "userId", u.phone_number as "phoneNumber", u.scopes, u.phone_number_e164 as "phoneNumberE164",
      u.email, u.created_at as "createdAt", u.last_login_at as "lastLoginAt"
    from ${sessions} s join ${users} u on u.id = s.user_id
    where s.id = ${sessionId}::uuid and s.user_id = ${sql.placeholder('userId')} and u.disabled_at is null
      and s.revoked_at is null and s.idle_expires_at > now() and s.expires_at > now()`,
);

/** The user behind a live session; null when the session ended or the account is disabled. */
export async function findLiveUser(
  db: Database,
  session: { sessionId: string; userId: number },
): Promise<LiveUser | null> {
  const [row] = await liveUserStatement.rows(db, session);
  return row ?? null;
}

export interface ListedSession {
  readonly id: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  readonly userAgent: string | null;
  readonly addressPrefix: string | null;
}

/** More than this nobody reads; a list without an end is a burden for both sides. */
const LISTED_SESSIONS_MAX = 200;

/** The live sessions of a user, most recently used first. */
export async function findLiveSessions(db: Database, userId: number): Promise<ListedSession[]> {
  return db
    .select({
      id: sessions.id,
      createdAt: sessions.createdAt,
      lastUsedAt: sessions.lastUsedAt,
      userAgent: sessions.userAgent,
      addressPrefix: sessions.addressPrefix,
    })
    .from(sessions)
    .where(and(eq(sessions.userId, userId), isLive()))
    .orderBy(desc(sessions.lastUsedAt), desc(sessions.id))
    .limit(LISTED_SESSIONS_MAX);
}
