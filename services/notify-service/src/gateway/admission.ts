import type { AccessTokenClaims } from '@infrasignal/shared';
import { InvalidTokenError, type AccessTokenVerifier, type JwksKeySource } from '@infrasignal/token-verifier';
import type { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import type { Timers } from '../lib/timers.ts';
import type { EventConsumer } from '../relay/event-consumer.ts';
import { checkOrigin, invalidToken, missingToken, notReady } from './handshake.ts';
import type { GatewayStats } from './gateway-stats.ts';
import { publicListener, tokenListener, type Listener } from './listener.ts';
import { readVerifiedToken, type ReconnectTickets } from './reconnect-tickets.ts';

/** What a client that is refused for now should wait, in whole seconds: a broker restart takes about as long. */
const RETRY_AFTER_SECONDS = 1;

export interface AdmissionControlOptions {
  readonly accessTokens: Pick<AccessTokenVerifier, 'verify'>;
  readonly keys: Pick<JwksKeySource, 'isLoaded' | 'find'>;
  readonly tickets: ReconnectTickets;
  readonly stats: GatewayStats;
  readonly consumer: Pick<EventConsumer, 'isReady'>;
  readonly hub: Pick<Hub, 'isRevoked'>;
  readonly timers: Pick<Timers, 'timeOfDay'>;
  readonly allowedOrigins: readonly string[];
  /** DEBUG's public feed: who brings no token hears everything. */
  readonly hasPublicFeed: boolean;
}

/** What somebody who wants to listen says about themselves. */
export interface Applicant {
  /** The access token; null when none was sent. */
  readonly token: string | null;
  /** The reconnect ticket that came with it, if any. */
  readonly ticket?: string | null;
  /** As `request.ip` tells it. */
  readonly address: string;
  /** The `Origin` header. */
  readonly origin: string | undefined;
  /** True when the connection can carry control frames and a cursor: `infrasignal.v1`, server-sent events. */
  readonly hasControlFrames: boolean;
}

interface TicketHolder {
  readonly claims: AccessTokenClaims;
  readonly ticket: string;
}

/**
 * Decides who may listen to what, whatever carries the connection: WebSocket, server-sent events, or a single request.
 * It knows nothing of an upgrade; what the carrier itself demands is checked before.
 */
export class AdmissionControl {
  readonly #options: AdmissionControlOptions;
  #isClosed = false;

  constructor(options: AdmissionControlOptions) {
    this.#options = options;
  }

  /** From now on nobody is let in: the node is on its way out. */
  close(): void {
    this.#isClosed = true;
  }

  /** @throws ProblemError 401, 403 or 503 */
  async admit(applicant: Applicant): Promise<Listener> {
    const { allowedOrigins, hasPublicFeed, hub, tickets } = this.#options;
    const { token, ticket = null, origin } = applicant;
    const isPublic = token === null && hasPublicFeed;
    if (!isPublic) checkOrigin(origin, allowedOrigins);
    if (token === null && !isPublic) throw missingToken();
    this.#checkReady();
    if (token === null) return publicListener(applicant);
    const known = ticket === null ? null : await this.#readWithTicket(token, ticket);
    const { claims } = known ?? { claims: await this.verify(token) };
    if (hub.isRevoked(claims.sid)) throw invalidToken();
    // Asked again: verifying may have had to wait for a key.
    this.#checkReady();
    return tokenListener(claims, known?.ticket ?? tickets.issue(token), applicant);
  }

  /**
   * The claims of an access token that is good now, but for its session: ask the hub whether that has ended.
   * @throws ProblemError 401, or 503 while there is no key to verify with
   */
  async verify(token: string): Promise<AccessTokenClaims> {
    const { accessTokens, keys } = this.#options;
    if (!keys.isLoaded) throw notReady(RETRY_AFTER_SECONDS);
    return accessTokens.verify(token).catch((error: unknown) => {
      throw error instanceof InvalidTokenError ? invalidToken(error) : error;
    });
  }

  /**
   * What a token says whose signature need not be checked because a ticket says that it was, with the ticket for the
   * next time. Null: the ticket does not say that, which is no error.
   */
  async #readWithTicket(token: string, ticket: string): Promise<TicketHolder | null> {
    const { keys, stats, tickets, timers } = this.#options;
    const renewed = tickets.renew(token, ticket);
    const verified = renewed === null ? null : readVerifiedToken(token, timers.timeOfDay());
    // A key that was withdrawn takes the tokens that it signed along.
    const isGood = verified !== null && (await keys.find(verified.kid)) !== null;
    increment(stats.tickets, isGood ? 'accepted' : 'unknown');
    return isGood && renewed !== null ? { claims: verified.claims, ticket: renewed } : null;
  }

  /** A node that does not see new events, or does not know which sessions ended, takes nobody in. */
  #checkReady(): void {
    if (this.#isClosed || !this.#options.consumer.isReady) throw notReady(RETRY_AFTER_SECONDS);
  }
}
