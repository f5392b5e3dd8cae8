import { createHmac, timingSafeEqual } from 'node:crypto';
import { deriveKey } from '../../lib/derived-key.ts';

/** What a refresh token says; its MAC says that we said it. */
export interface RefreshTokenContent {
  readonly sessionId: string;
  /** Which rotation of the session this token is. */
  readonly counter: number;
}

const PURPOSE = 'refresh tokens v1';

const tokenExpression = /^v1\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9]\d{0,8})\.([A-Za-z0-9_-]{43})$/;

/**
 * Refresh tokens `v1.<session>.<counter>.<mac>`: opaque to clients. The database holds no token and no hash of one:
 * the MAC (HMAC-SHA-256 with a key derived from SECRET_KEY) proves origin, the session's row decides what is good.
 */
export class RefreshTokens {
  readonly #key: Buffer;

  constructor(secretKey: string) {
    this.#key = deriveKey(secretKey, PURPOSE);
  }

  encode({ sessionId, counter }: RefreshTokenContent): string {
    const body = `v1.${sessionId}.${counter}`;
    return `${body}.${this.#mac(body).toString('base64url')}`;
  }

  /** @returns null for anything that this service did not make */
  decode(token: string): RefreshTokenContent | null {
    const [, sessionId, counter, mac] = tokenExpression.exec(token) ?? [];
    if (sessionId === undefined || counter === undefined || mac === undefined) return null;
    const expected = this.#mac(`v1.${sessionId}.${counter}`);
    const isGenuine = timingSafeEqual(expected, Buffer.from(mac, 'base64url'));
    return isGenuine ? { sessionId, counter: Number(counter) } : null;
  }

  #mac(body: string): Buffer {
    return createHmac('sha256', this.#key).update(body).digest();
  }
}
