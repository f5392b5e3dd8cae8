import type { Traced } from '@infrasignal/service-kit';
import type { TokenResponse } from '@infrasignal/shared';
import { sql, type SQL } from 'drizzle-orm';
import { randomUUID } from 'node:crypto';
import { sessions } from '../../db/schema/index.ts';
import { toAddressPrefix } from '../../lib/address-prefix.ts';
import type { Clock } from '../../lib/clock.ts';
import type { RefreshTokens } from './refresh-token.ts';

/** Where a session was opened, as the request says. */
export interface SessionOrigin extends Traced {
  readonly userAgent: string | undefined;
  readonly address: string;
}

export interface SessionUser {
  readonly userId: number;
  readonly phoneNumber: string;
  /** What the account may do beyond its own; ends up in the claim `scope`. */
  readonly scopes: readonly string[];
}

/**
 * A session that is about to exist: its row and the trace of its event for the statement that opens it, its tokens for
 * the answer.
 */
export interface NewSession extends Traced {
  readonly id: string;
  /** The insert for use as a CTE, for the user that the CTE named `from` returns as `id`. */
  insert(from: string): SQL;
  toTokens(user: SessionUser): TokenResponse;
}

export interface SessionOptions {
  readonly sign: (claims: Record<string, unknown>) => string;
  readonly refreshTokens: RefreshTokens;
  readonly clock: Clock;
  readonly accessTtlSeconds: number;
  readonly idleTtlSeconds: number;
  readonly ttlSeconds: number;
}

/** Longer ones are cut: it is shown to its user for recognition, nothing depends on it. */
const USER_AGENT_LENGTH_MAX = 256;

/** Makes sessions and the tokens that stand for them. */
export class SessionOpener {
  readonly #options: SessionOptions;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  open({ userAgent, address, traceparent }: SessionOrigin): NewSession {
    const sessionId = randomUUID();
    const { idleTtlSeconds, ttlSeconds } = this.#options;
    return {
      id: sessionId,
      traceparent,
      insert: (from) => sql`insert into ${sessions}
        (id, user_id, idle_expires_at, expires_at, user_agent, address_prefix)
        select ${sessionId}::uuid, id, now() + make_interval(secs => ${Math.min(idleTtlSeconds, ttlSeconds)}),
          now() + make_interval(secs => ${ttlSeconds}), ${userAgent?.slice(0, USER_AGENT_LENGTH_MAX) ?? null}::text,
          ${toAddressPrefix(address)}::text
        from ${sql.identifier(from)}`,
      toTokens: (user) => this.toTokens(user, sessionId, 0, Math.min(idleTtlSeconds, ttlSeconds)),
    };
  }

  /** An access token of a session, and its life in seconds. */
  issueAccess(
    { userId, scopes }: Pick<SessionUser, 'userId' | 'scopes'>,
    sessionId: string,
  ): { access: string; expiresIn: number } {
    const { sign, clock, accessTtlSeconds } = this.#options;
    const nowSeconds = Math.floor(clock() / 1_000);
    const access = sign({
      sub: String(userId),
      user_id: userId,
      sid: sessionId,
      jti: randomUUID(),
      token_type: 'access',
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
      iat: nowSeconds,
      exp: nowSeconds + accessTtlSeconds,
    });
    return { access, expiresIn: accessTtlSeconds };
  }

  /** The tokens of a session at one counter, as every route answers them. */
  toTokens(user: SessionUser, sessionId: string, counter: number, refreshTtlSeconds: number): TokenResponse {
    const { access, expiresIn } = this.issueAccess(user, sessionId);
    return {
      refresh: this.#options.refreshTokens.encode({ sessionId, counter }),
      access,
      user_id: user.userId,
      phone_number: user.phoneNumber,
      token_type: 'Bearer',
      expires_in: expiresIn,
      refresh_expires_in: refreshTtlSeconds,
    };
  }
}
