import type { AccessTokenClaims } from '@infrasignal/shared';
import { hash } from 'node:crypto';

/** What was found out about a token and cannot change any more: by which key it is signed, and what it says. */
export interface VerifiedToken {
  readonly kid: string;
  /** PEM (SPKI) of the key that verified it. */
  readonly pem: string;
  readonly claims: AccessTokenClaims;
  /** The claim `nbf`, of whatever type. */
  readonly notBefore: unknown;
}

/**
 * Tokens whose signature was verified. Only good ones come in, so that nobody fills it who is not given tokens; the one
 * that came first goes first. It holds digests: a dump of the memory gives no token away.
 */
export class VerifiedTokens {
  readonly #byDigest = new Map<string, VerifiedToken>();
  readonly #tokensMax: number;

  /** @param tokensMax how many are remembered, about 700 bytes each; 0: none */
  constructor(tokensMax: number) {
    this.#tokensMax = tokensMax;
  }

  get size(): number {
    return this.#byDigest.size;
  }

  find(token: string): VerifiedToken | null {
    return this.#tokensMax === 0 ? null : (this.#byDigest.get(digestOf(token)) ?? null);
  }

  add(token: string, verified: VerifiedToken): void {
    if (this.#tokensMax === 0) return;
    this.#byDigest.set(digestOf(token), verified);
    if (this.#byDigest.size <= this.#tokensMax) return;
    for (const oldest of this.#byDigest.keys()) {
      this.#byDigest.delete(oldest);
      return;
    }
  }
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64');
}
