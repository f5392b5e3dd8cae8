import { commonErrors, type SessionRevokedReason, type TokenResponse } from '@infrasignal/shared';
import { ProblemError, type Traced } from '@infrasignal/service-kit';
import { InvalidTokenError, type AccessTokenVerifier } from '@infrasignal/token-verifier';
import type { SQL } from 'drizzle-orm';
import type { CountryCode } from 'libphonenumber-js/max';
import { withUserLock } from '../../db/user-lock.ts';
import type { KnownDevice } from '../../lib/device-tokens.ts';
import type { HashPlace, QueuedHasher } from '../../lib/hash-queue.ts';
import type { PasswordHasher } from '../../lib/password-hasher.ts';
import { phoneNumberProblem, toE164 } from '../../lib/phone-number.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { RefreshTokenContent, RefreshTokens } from './refresh-token.ts';
import type { SessionOpener, SessionOrigin } from './session-opener.ts';
import { isAnySession, isOtherSession, isSession, revokeSessions, type Revocation } from './session-revocation.ts';
import { sessionErrors } from './sessions-errors.ts';
import {
  findLiveSessions,
  findLiveUser,
  findLoginCandidate,
  findSessionOwner,
  insertLogin,
  isRefreshable,
  isReplayed,
  rotateSession,
  selectLoginCandidate,
  type ListedSession,
  type LiveUser,
  type LoginCandidate,
} from './sessions-repository.ts';
import type { LoginBody } from './sessions-schemas.ts';

/**
 * The token before the current one stays good this long after the first rotation: a client whose answer was lost, or
 * whose tabs refreshed at once, gets the same successor. Shorter signs people out on bad networks; longer gives a thief
 * that much time to share a session unnoticed (RFC 9700 section 4.14.2).
 */
export const REFRESH_GRACE_SECONDS = 10;

/** Where a login comes from. */
export interface LoginOrigin extends SessionOrigin {
  readonly device: KnownDevice | null;
}

/** Renders what a successful login forgets, for a CTE, if the CTE of that name returned a row. */
export type ForgetFailures = (when: string) => SQL;

export interface SessionsDependencies {
  readonly db: Database;
  /**
   * Lets a password be tried if it may be now; finds the account with `find`, a SELECT. What `tryPassword` returns null
   * for counts as a failure. @throws ProblemError throttled
   */
  readonly guardLogin: (
    applicant: { phoneNumberE164: string; password: string; address: string; device: KnownDevice | null },
    find: SQL,
    tryPassword: (candidate: LoginCandidate | null, forgetFailures: ForgetFailures) => Promise<OpenedSession | null>,
  ) => Promise<OpenedSession | null>;
  readonly hasher: QueuedHasher;
  /** Blurs what is left of the difference between refusals. */
  readonly pauseAfterRefusal: () => Promise<void>;
  readonly sessionOpener: SessionOpener;
  readonly refreshTokens: RefreshTokens;
  readonly verifier: AccessTokenVerifier;
  readonly region: CountryCode;
  readonly idleTtlSeconds: number;
  readonly announceEvent: () => void;
}

/** What one try of a password goes with. */
interface LoginTry {
  readonly phoneNumberE164: string;
  readonly hasher: PasswordHasher;
  readonly origin: SessionOrigin;
  readonly forgetFailures: ForgetFailures;
}

/** A session and the tokens that stand for it now. */
export interface OpenedSession {
  readonly sessionId: string;
  readonly tokens: TokenResponse;
}

/** Who is asking, by which session. */
export interface SessionHolder {
  readonly userId: number;
  readonly sessionId: string;
}

/** Refreshes by how they ended, as plain counters. */
export interface RefreshStats {
  accepted: number;
  /** A used token came back after its grace, and its session ended for it. */
  reused: number;
  /** Any other token that is not good: expired, of an ended session, not ours. */
  refused: number;
}

export class SessionsService {
  readonly refreshStats: RefreshStats = { accepted: 0, reused: 0, refused: 0 };
  readonly #dependencies: SessionsDependencies;

  constructor(dependencies: SessionsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Checks a password and opens a session. Unknown number, wrong password, disabled account and an account without a
   * password are one answer after the same work, so that none can be told from another.
   * @throws ProblemError invalid_request (a number that cannot be one), invalid_credentials, throttled,
   *   service_unavailable
   */
  async logIn({ phone_number, password }: LoginBody, origin: LoginOrigin, place: HashPlace): Promise<OpenedSession> {
    const { region, guardLogin, announceEvent } = this.#dependencies;
    const hasher = this.#dependencies.hasher.at(place);
    const phoneNumberE164 = toE164(phone_number, region);
    if (phoneNumberE164 === null) {
      throw new ProblemError(commonErrors.invalid_request, { errors: [phoneNumberProblem()] });
    }
    const { address, device } = origin;
    const opened = await guardLogin(
      { phoneNumberE164, password, address, device },
      selectLoginCandidate(phoneNumberE164),
      (candidate, forgetFailures) => this.#tryPassword(candidate, password, { phoneNumberE164, hasher, origin, forgetFailures }),
    );
    if (opened === null) {
      // The pause computes nothing: nobody else's hash has to wait for it.
      place.release();
      await this.#dependencies.pauseAfterRefusal();
      throw new ProblemError(sessionErrors.invalid_credentials);
    }
    announceEvent();
    return opened;
  }

  /** @returns null for a wrong password, and for a candidate whom no password lets in; both after the same work */
  async #tryPassword(
    candidate: LoginCandidate | null,
    password: string,
    login: LoginTry,
    isRetry = false,
  ): Promise<OpenedSession | null> {
    const { db, sessionOpener } = this.#dependencies;
    const { phoneNumberE164, hasher, origin, forgetFailures } = login;
    if (candidate?.passwordHash == null || candidate.isDisabled) {
      await hasher.verifyNothing(password);
      return null;
    }
    const { isRight, renewedHash } = await hasher.verifyAndRenew(candidate.passwordHash, password);
    if (!isRight) return null;
    const session = sessionOpener.open(origin);
    if (await insertLogin(db, candidate, { session, renewedHash, forgetFailures })) {
      return { sessionId: session.id, tokens: session.toTokens(candidate) };
    }
    if (isRetry) return null;
    // The hash is another by now: renewed by a login beside this one, of the same password, or the password changed.
    return this.#tryPassword(await findLoginCandidate(db, phoneNumberE164), password, login, true);
  }

  /**
   * Exchanges a refresh token for its successor and a fresh access token.
   * @param traceparent of whoever asks, for the event of a session that ends over it
   * @throws ProblemError invalid_refresh_token; a used token that comes back after its grace also ends its session
   */
  async refresh(token: string, traceparent: string | null): Promise<OpenedSession> {
    const { db, refreshTokens, sessionOpener, idleTtlSeconds } = this.#dependencies;
    const content = refreshTokens.decode(token);
    if (content === null) throw this.#refuseRefresh('refused');
    const rotated = await rotateSession(db, content, { idleTtlSeconds, graceSeconds: REFRESH_GRACE_SECONDS });
    if (rotated === null) {
      throw this.#refuseRefresh((await this.#endReplayed(content, traceparent)) ? 'reused' : 'refused');
    }
    this.refreshStats.accepted += 1;
    const { sessionId } = content;
    const tokens = sessionOpener.toTokens(rotated, sessionId, rotated.counter, rotated.refreshTtlSeconds);
    return { sessionId, tokens };
  }

  #refuseRefresh(outcome: 'reused' | 'refused'): ProblemError {
    this.refreshStats[outcome] += 1;
    return new ProblemError(sessionErrors.invalid_refresh_token);
  }

  /** Ends the session of a token that came back after its grace. @returns false if it had ended already */
  async #endReplayed(content: RefreshTokenContent, traceparent: string | null): Promise<boolean> {
    const userId = await findSessionOwner(this.#dependencies.db, content.sessionId);
    if (userId === null) return false;
    const which = isReplayed(content, REFRESH_GRACE_SECONDS);
    return (await this.#revoke({ userId, which, reason: 'refresh_reuse', traceparent })) > 0;
  }

  /** The session that a refresh token of ours names, whatever its state; null for a token that is not ours. */
  findRefreshSession(token: string): string | null {
    return this.#dependencies.refreshTokens.decode(token)?.sessionId ?? null;
  }

  /** True if the token, access or refresh, would be accepted now. */
  async isGood(token: string): Promise<boolean> {
    const { db, refreshTokens } = this.#dependencies;
    const content = refreshTokens.decode(token);
    if (content !== null) return isRefreshable(db, content, REFRESH_GRACE_SECONDS);
    return (await this.findHolder(token)) !== null;
  }

  /** Who holds an access token: verified, its session alive in the database. Null for every other token. */
  async findHolder(accessToken: string): Promise<(SessionHolder & LiveUser & { scope: string }) | null> {
    const { db, verifier } = this.#dependencies;
    try {
      const { sid: sessionId, user_id: userId, scope = '' } = await verifier.verify(accessToken);
      const user = await findLiveUser(db, { sessionId, userId });
      return user === null ? null : { ...user, sessionId, scope };
    } catch (error) {
      if (error instanceof InvalidTokenError) return null;
      throw error;
    }
  }

  /** Ends the session of a refresh token, whatever its counter. A token that is not ours ends nothing, in silence. */
  async logOutByRefreshToken(token: string, traceparent: string | null): Promise<void> {
    const { db, refreshTokens } = this.#dependencies;
    const content = refreshTokens.decode(token);
    const userId = content === null ? null : await findSessionOwner(db, content.sessionId);
    if (content === null || userId === null) return;
    await this.#revoke({ userId, which: isSession(content.sessionId), reason: 'logout', traceparent });
  }

  /** Ends the session of an access token, an expired one too: leaving must not need a token that is fresh. */
  async logOutByAccessToken(token: string, traceparent: string | null): Promise<void> {
    try {
      const claims = await this.#dependencies.verifier.verify(token, { ignoresExpiry: true });
      await this.#revoke({ userId: claims.user_id, which: isSession(claims.sid), reason: 'logout', traceparent });
    } catch (error) {
      if (!(error instanceof InvalidTokenError)) throw error;
    }
  }

  /** Ends all sessions of a user, or all others. @returns how many */
  async logOutEverywhere({ userId, sessionId, traceparent }: SessionHolder & Traced, keepsCurrent: boolean): Promise<number> {
    const which = keepsCurrent ? isOtherSession(sessionId) : isAnySession;
    return this.#revoke({ userId, which, reason: 'logout_everywhere', traceparent });
  }

  /**
   * Ends all sessions of a user by order of somebody else: an operator, or a withdrawn right. No request causes it.
   * @returns how many
   */
  async endAllSessions(userId: number, reason: SessionRevokedReason): Promise<number> {
    return this.#revoke({ userId, which: isAnySession, reason, traceparent: null });
  }

  async listSessions(userId: number): Promise<ListedSession[]> {
    return findLiveSessions(this.#dependencies.db, userId);
  }

  /** Ends one of the user's sessions. @throws ProblemError session_not_found for ended and other people's sessions */
  async endSession({ userId, traceparent }: SessionHolder & Traced, sessionId: string): Promise<void> {
    const count = await this.#revoke({ userId, which: isSession(sessionId), reason: 'session_ended', traceparent });
    if (count === 0) throw new ProblemError(sessionErrors.session_not_found);
  }

  async #revoke(revocation: Revocation): Promise<number> {
    const { db, announceEvent } = this.#dependencies;
    const count = (await withUserLock(db, revocation.userId, (tx) => revokeSessions(tx, revocation))) ?? 0;
    if (count > 0) announceEvent();
    return count;
  }
}
