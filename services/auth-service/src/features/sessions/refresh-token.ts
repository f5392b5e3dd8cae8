import { createHmac, timingSafeEqual } from 'node:crypto';
import { deriveKeys } from '../../lib/derived-key.ts';

/** What a refresh token says; its MAC says that we said it. */
export interface RefreshTokenContent {
  readonly sessionId: string;
  /** Which rotation of the session this token is. */
  readonly counter: number;
}

const PURPOSE = 'refresh tokens v1';

const tokenExpression = /^v1\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9]\d{0,8})\.([A-Za-z0-9_-]{43})$/;

function mac(key: Buffer, body: string): Buffer {
  return createHmac('sha256', key).update(body).digest();
}

/**
 * Refresh tokens `v1.<session>.<counter>.<mac>`: opaque to clients. The database holds no token and no hash of one:
 * the MAC (HMAC-SHA-256 with a key derived from SECRET_KEY) proves origin, the session's row decides what is good.
 */
export class RefreshTokens {
  readonly #keys: readonly [Buffer, ...Buffer[]];

  /** @param secretKeys the first signs, all verify: a new SECRET_KEY signs nobody out */
  constructor(secretKeys: readonly [string, ...string[]]) {
    this.#keys = deriveKeys(secretKeys, PURPOSE);
  }

  encode({ sessionId, counter }: RefreshTokenContent): string {
    const body = `v1.${sessionId}.${counter}`;
    return `${body}.${mac(this.#keys[0], body).toString('base64url')}`;
  }

  /** @returns null for anything that this service did not make */
  decode(token: string): RefreshTokenContent | null {
    const [, sessionId, counter, code] = tokenExpression.exec(token) ?? [];
    if (sessionId === undefined || counter === undefined || code === undefined) return null;
    const given = Buffer.from(code, 'base64url');
    // 43 characters hold 258 bits: the two left over must not make a second spelling of one token.
    if (given.toString('base64url') !== code) return null;
    const body = `v1.${sessionId}.${counter}`;
    const isGenuine = this.#keys.some((key) => timingSafeEqual(mac(key, body), given));
    return isGenuine ? { sessionId, counter: Number(counter) } : null;
  }
}
