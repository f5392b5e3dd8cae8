import { createHmac, createSecretKey, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto';
import { parseAccessTokenClaims, type AccessTokenClaims } from '@infrasignal/shared';

/** What the key is used for, so that the same key used elsewhere makes nothing that is good here. */
const PURPOSE = 'infrasignal reconnect ticket v1\n';

/** 256 bits: as many as the MAC has. */
const KEY_BYTES = 32;

/**
 * A reconnect ticket is a MAC (HMAC-SHA-256) over an access token: whoever holds the key has verified this very token
 * before, and need not check its signature again. It says nothing and is worth nothing without the token, so it can
 * neither outlive it nor speak for anybody else; expiry and revocation are asked of the token, as ever.
 */
export class ReconnectTickets {
  readonly #keys: readonly KeyObject[];

  /** @param keys the first gives tickets, all are good; none: a random one, and tickets are good at this process only */
  constructor(keys: readonly string[]) {
    this.#keys = keys.length === 0 ? [createSecretKey(randomBytes(KEY_BYTES))] : keys.map((key) => createSecretKey(key, 'utf8'));
  }

  /** The ticket for a token that was verified. */
  issue(token: string): string {
    const [key] = this.#keys;
    if (key === undefined) throw new Error('there is always a key');
    return mac(key, token).toString('base64url');
  }

  /** The ticket to give out for this token from now on; null if this one was not given for it. */
  renew(token: string, ticket: string): string | null {
    const given = Buffer.from(ticket, 'base64url');
    const at = this.#keys.findIndex((key) => {
      const expected = mac(key, token);
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
    if (at < 0) return null;
    // Of the first key it is what would be given out; made anew, it would cost as much as looking at it did.
    return at === 0 ? given.toString('base64url') : this.issue(token);
  }
}

function mac(key: KeyObject, token: string): Buffer {
  return createHmac('sha256', key).update(PURPOSE).update(token).digest();
}

/** What a verified token says, and the key that signed it. */
export interface VerifiedToken {
  readonly kid: string;
  readonly claims: AccessTokenClaims;
}

/**
 * Reads a token whose signature was verified before, and what went with it: issuer, audience, not before.
 * @returns null when it has expired
 */
export function readVerifiedToken(token: string, nowMs: number): VerifiedToken | null {
  const [header, payload] = token.split('.').map((segment) => Buffer.from(segment, 'base64url').toString('utf8'));
  const { kid } = JSON.parse(header ?? '') as { kid: string };
  const claims = parseAccessTokenClaims(JSON.parse(payload ?? ''));
  return claims === null || claims.exp * 1_000 <= nowMs ? null : { kid, claims };
}
