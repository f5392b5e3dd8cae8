import { closeCodes, type AccessTokenClaims, type AuthenticatedFrame, type SocketErrorCode } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { Connection } from '../hub/connection.ts';
import { increment } from '../hub/hub-stats.ts';
import { audienceOf, type Listener } from './listener.ts';
import { expiryOf, sendError, type ConnectionContext } from './open-connection.ts';
import { TokenBucket } from './token-bucket.ts';

/**
 * A signature check costs as much as many pings. A client renews once in the life of a token, which is minutes; so
 * many at once and one every ten seconds let it try again, and make a flood cost what any other message costs.
 */
const RENEWALS_AT_ONCE = 5;
const RENEWALS_PER_SECOND = 0.1;

/**
 * Lets one connection outlive the access token that it was opened with. A fresh token of the same user and session
 * moves the end of the connection and changes nothing else: not whose it is, and not what it hears.
 */
export class TokenRenewal {
  readonly #context: ConnectionContext;
  readonly #connection: Connection;
  readonly #listener: Listener;
  readonly #bucket: TokenBucket;
  #expiresAtMs: number;
  #isBusy = false;

  constructor(context: ConnectionContext, connection: Connection, listener: Listener) {
    this.#context = context;
    this.#connection = connection;
    this.#listener = listener;
    this.#bucket = new TokenBucket(RENEWALS_PER_SECOND, context.timers.now, RENEWALS_AT_ONCE);
    this.#expiresAtMs = listener.expiresAtMs ?? 0;
  }

  /** Handles one `auth` frame; never throws. */
  async renew(access: string): Promise<void> {
    // One at a time: checking may have to wait for a key.
    if (this.#isBusy || !this.#bucket.take()) {
      this.#refuse('too_many_renewals', true);
      return;
    }
    this.#isBusy = true;
    try {
      this.#apply(access, await this.#context.admission.verify(access));
    } catch (error) {
      const isInvalid = error instanceof ProblemError && error.definition.status === 401;
      if (!(error instanceof ProblemError)) this.#context.log.error({ err: error }, 'a token could not be checked');
      this.#refuse(isInvalid ? 'invalid_token' : 'service_unavailable', true);
    } finally {
      this.#isBusy = false;
    }
  }

  #apply(access: string, claims: AccessTokenClaims): void {
    const { hub, stats, tickets, timers } = this.#context;
    const connection = this.#connection;
    const { audience, sessionId, userId } = this.#listener;
    // Among other reasons, because the session ended: the hub closes its sockets at that moment.
    if (!connection.isOpen) return;
    if (claims.user_id !== userId || claims.sid !== sessionId) {
      this.#refuse('identity_mismatch', false);
      return;
    }
    // More than it hears now it gets with another socket; what it may not hear any more it must not go on hearing.
    if (audience.kind === 'everything' && audienceOf(claims).kind !== 'everything') {
      increment(stats.renewals, closeCodes.scopeReduced.reason);
      hub.close(connection, closeCodes.scopeReduced);
      return;
    }
    // An older token, sent late, takes nothing away.
    this.#expiresAtMs = Math.max(this.#expiresAtMs, claims.exp * 1_000);
    hub.renew(connection, expiryOf(connection.port, true, this.#expiresAtMs, timers.timeOfDay()));
    increment(stats.renewals, 'renewed');
    const frame: AuthenticatedFrame = {
      type: 'authenticated',
      expires_at: new Date(this.#expiresAtMs).toISOString(),
      ticket: tickets.issue(access),
    };
    hub.send(connection, connection.port.encode(frame));
  }

  /** The socket stays what it was, until its own token expires. */
  #refuse(code: SocketErrorCode, isRetryable: boolean): void {
    increment(this.#context.stats.renewals, code);
    sendError(this.#context.hub, this.#connection, code, isRetryable);
  }
}
