import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { deriveKeys } from '../../lib/derived-key.ts';

/** What a refresh token says; its MAC says that we said it. */
export interface RefreshTokenContent {
  readonly sessionId: string;
  /** Which rotation of the session this token is. */
  readonly counter: number;
}

const PURPOSE = 'refresh tokens v1';

const tokenExpression = /^v1\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9]\d{0,8})\.([A-Za-z0-9_-]{43})$/;

/** As it stands in the token: base64url. */
function mac(key: KeyObject, body: string): string {
  return createHmac('sha256', key).update(body).digest('base64url');
}

/**
 * Compares texts, not the bytes that they stand for: 43 characters hold 258 bits, and the two left over must not make a
 * second spelling of one token.
 */
function isSame(code: string, given: string): boolean {
  return timingSafeEqual(Buffer.from(code, 'latin1'), Buffer.from(given, 'latin1'));
}

/**
 * Refresh tokens `v1.<session>.<counter>.<mac>`: opaque to clients. The database holds no token and no hash of one:
 * the MAC (HMAC-SHA-256 with a key derived from SECRET_KEY) proves origin, the session's row decides what is good.
 */
export class RefreshTokens {
  readonly #keys: readonly KeyObject[];
  readonly #signingKey: KeyObject;

  /** @param secretKeys the first signs, all verify: a new SECRET_KEY signs nobody out */
  constructor(secretKeys: readonly [string, ...string[]]) {
    const [first, ...others] = deriveKeys(secretKeys, PURPOSE);
    this.#signingKey = createSecretKey(first);
    this.#keys = [this.#signingKey, ...others.map((key) => createSecretKey(key))];
  }

  encode({ sessionId, counter }: RefreshTokenContent): string {
    const body = `v1.${sessionId}.${counter}`;
    return `${body}.${mac(this.#signingKey, body)}`;
  }

  /** @returns null for anything that this service did not make */
  decode(token: string): RefreshTokenContent | null {
    const [, sessionId, counter, code] = tokenExpression.exec(token) ?? [];
    if (sessionId === undefined || counter === undefined || code === undefined) return null;
    const body = `v1.${sessionId}.${counter}`;
    const isGenuine = this.#keys.some((key) => isSame(mac(key, body), code));
    return isGenuine ? { sessionId, counter: Number(counter) } : null;
  }
}
