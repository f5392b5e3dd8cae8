import type { AccessTokenClaims } from '@infrasignal/shared';
import { InvalidTokenError, type AccessTokenVerifier, type JwksKeySource } from '@infrasignal/token-verifier';
import type { Hub } from '../hub/hub.ts';
import type { EventConsumer } from '../relay/event-consumer.ts';
import { checkOrigin, invalidToken, missingToken, notReady } from './handshake.ts';
import { publicListener, tokenListener, type Listener } from './listener.ts';

/** What a client that is refused for now should wait, in whole seconds: a broker restart takes about as long. */
const RETRY_AFTER_SECONDS = 1;

export interface AdmissionControlOptions {
  readonly accessTokens: Pick<AccessTokenVerifier, 'verify'>;
  readonly keys: Pick<JwksKeySource, 'isLoaded'>;
  readonly consumer: Pick<EventConsumer, 'isReady'>;
  readonly hub: Pick<Hub, 'isRevoked'>;
  readonly allowedOrigins: readonly string[];
  /** DEBUG's public feed: who brings no token hears everything. */
  readonly hasPublicFeed: boolean;
}

/** What somebody who wants to listen says about themselves. */
export interface Applicant {
  /** The access token; null when none was sent. */
  readonly token: string | null;
  /** The `Origin` header. */
  readonly origin: string | undefined;
  /** True when the connection can carry control frames and a cursor: `infrasignal.v1`, server-sent events. */
  readonly hasControlFrames: boolean;
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
  async admit({ token, origin, hasControlFrames }: Applicant): Promise<Listener> {
    const { allowedOrigins, hasPublicFeed } = this.#options;
    const isPublic = token === null && hasPublicFeed;
    if (!isPublic) checkOrigin(origin, allowedOrigins);
    if (token === null && !isPublic) throw missingToken();
    this.#checkReady();
    if (token === null) return publicListener(hasControlFrames);
    const claims = await this.verify(token);
    // Asked again: verifying may have had to wait for a key.
    this.#checkReady();
    return tokenListener(claims, hasControlFrames);
  }

  /**
   * The claims of an access token that is good now, of a session that has not ended.
   * @throws ProblemError 401, or 503 while there is no key to verify with
   */
  async verify(token: string): Promise<AccessTokenClaims> {
    const { accessTokens, hub, keys } = this.#options;
    if (!keys.isLoaded) throw notReady(RETRY_AFTER_SECONDS);
    const claims = await accessTokens.verify(token).catch((error: unknown) => {
      throw error instanceof InvalidTokenError ? invalidToken(error) : error;
    });
    if (hub.isRevoked(claims.sid)) throw invalidToken();
    return claims;
  }

  /** A node that does not see new events, or does not know which sessions ended, takes nobody in. */
  #checkReady(): void {
    if (this.#isClosed || !this.#options.consumer.isReady) throw notReady(RETRY_AFTER_SECONDS);
  }
}
