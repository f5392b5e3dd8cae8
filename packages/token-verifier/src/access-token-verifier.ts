import {
  ACCESS_TOKEN_ALGORITHM,
  ACCESS_TOKEN_TTL_SECONDS_MAX,
  ACCESS_TOKEN_TYP,
  parseAccessTokenClaims,
  type AccessTokenClaims,
} from '@infrasignal/shared';
import { createVerifier } from 'fast-jwt';
import { VerifiedTokens, type VerifiedToken } from './verified-tokens.ts';

/** Where public keys come from, by the `kid` of a token's header. PEM (SPKI); null when there is no such key. */
export interface KeySource {
  find(kid: string): string | null | Promise<string | null>;
}

export interface AccessTokenVerifierOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: KeySource;
  /**
   * The time of day by which tokens are judged, in milliseconds since 1970: `timeOfDay` of a `JwksKeySource`, which is
   * that of whoever signed them. By default this machine's.
   */
  readonly now?: () => number;
  /**
   * Of how many tokens it is remembered that their signature is good, about 700 bytes each: for a service that sees the
   * same token with many requests. All else is asked each time. By default of none.
   */
  readonly rememberedMax?: number;
}

/**
 * What the clocks of the broker, of auth-service and of a verifier may differ by. The end of a session is remembered
 * for the longest life of a token and this much more: by a smaller one, a token might outlive that memory.
 */
export const CLOCK_MARGIN_SECONDS = 300;

/** The token is not one that may be acted on. `message` is for logs; callers answer 401 without it. */
export class InvalidTokenError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'InvalidTokenError';
  }
}

/** Our tokens are under 1 KiB; a longer one is refused before anything is decoded. */
const TOKEN_LENGTH_MAX = 4096;

/** A key's thumbprint has 43 characters; a longer `kid` never names one. */
const KID_LENGTH_MAX = 128;

/** A rotated set has two or three keys; the rest of the room is for tests and never grows past this. */
const VERIFIERS_MAX = 16;

type Verify = (token: string) => unknown;

/** The segment's text if it is canonical base64url, so that no second spelling of a token exists (RFC 4648 section 3.5). */
function decodeCanonical(segment: string | undefined): string {
  const bytes = Buffer.from(segment ?? '', 'base64url');
  if (segment === undefined || segment === '' || bytes.toString('base64url') !== segment) {
    throw new InvalidTokenError('not canonical base64url');
  }
  return bytes.toString('utf8');
}

/** Parses JSON that has one spelling only: duplicate keys and white space, which parsers disagree on, are refused. */
function parseCanonical(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidTokenError('not JSON', error);
  }
  if (typeof value !== 'object' || value === null || JSON.stringify(value) !== text) {
    throw new InvalidTokenError('not in the form in which we write tokens');
  }
  return value as Record<string, unknown>;
}

/** The key that a token names, if the token is written as ours are. @throws InvalidTokenError */
function readKid(token: string): string {
  const [header, payload, signature, ...rest] = token.split('.');
  if (rest.length > 0) throw new InvalidTokenError('not three segments');
  const { alg, typ, kid, ...others } = parseCanonical(decodeCanonical(header));
  if (alg !== ACCESS_TOKEN_ALGORITHM || typ !== ACCESS_TOKEN_TYP) throw new InvalidTokenError('wrong alg or typ');
  // Nothing else is ever in our headers: `jku`, `jwk`, `x5u` and `crit` could only mean harm.
  if (Object.keys(others).length > 0) throw new InvalidTokenError('unexpected header');
  if (typeof kid !== 'string' || kid.length > KID_LENGTH_MAX) throw new InvalidTokenError('no kid');
  parseCanonical(decodeCanonical(payload));
  decodeCanonical(signature);
  return kid;
}

/**
 * Verifies access tokens: signature by a published Ed25519 key, `typ`, `iss`, `aud`, `exp`, `nbf`, and the claims' own
 * shapes (RFC 8725, RFC 9068). Nothing of a token chooses how it is verified but `kid`, which chooses among our keys.
 *
 * It does not know revocations; ask those by the claims' `sid`.
 */
export class AccessTokenVerifier {
  readonly #options: AccessTokenVerifierOptions;
  readonly #now: () => number;
  readonly #verifiers = new Map<string, Verify>();
  readonly #verified: VerifiedTokens;

  constructor(options: AccessTokenVerifierOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#verified = new VerifiedTokens(options.rememberedMax ?? 0);
  }

  /**
   * @param options.ignoresExpiry accepts a token that was good once; for a logout and nothing else
   * @throws InvalidTokenError for everything that is not a token of ours that is good now
   */
  async verify(token: string, options: { ignoresExpiry?: boolean } = {}): Promise<AccessTokenClaims> {
    if (token.length > TOKEN_LENGTH_MAX) throw new InvalidTokenError('too long');
    const known = this.#verified.find(token);
    const kid = known?.kid ?? readKid(token);
    // Also of a token that is known: its key may have been taken back.
    const pem = await this.#options.keys.find(kid);
    if (pem === null) throw new InvalidTokenError('unknown key');
    const { claims, notBefore } = known?.pem === pem ? known : this.#verifySignature(token, kid, pem);
    this.#checkTime(claims, notBefore, options.ignoresExpiry ?? false);
    return claims;
  }

  #verifySignature(token: string, kid: string, pem: string): VerifiedToken {
    let payload: unknown;
    try {
      payload = this.#verifierFor(pem)(token);
    } catch (error) {
      throw new InvalidTokenError(error instanceof Error ? error.message : 'not verified', error);
    }
    const claims = parseAccessTokenClaims(payload);
    if (claims === null) throw new InvalidTokenError('not the claims of an access token');
    const verified = { kid, pem, claims: Object.freeze(claims), notBefore: (payload as { readonly nbf?: unknown }).nbf };
    this.#verified.add(token, verified);
    return verified;
  }

  /** `fast-jwt` would go by the clock of this machine. */
  #checkTime({ exp }: AccessTokenClaims, notBefore: unknown, ignoresExpiry: boolean): void {
    const nowSeconds = this.#now() / 1_000;
    if (notBefore !== undefined && !(typeof notBefore === 'number' && notBefore <= nowSeconds)) {
      throw new InvalidTokenError('not valid yet');
    }
    if (ignoresExpiry) return;
    if (exp <= nowSeconds) throw new InvalidTokenError('expired');
    // No token of ours lives so long: one of the clocks is off by more than the ends of sessions are remembered for.
    if (exp > nowSeconds + ACCESS_TOKEN_TTL_SECONDS_MAX + CLOCK_MARGIN_SECONDS) {
      throw new InvalidTokenError('expires too far ahead');
    }
  }

  #verifierFor(pem: string): Verify {
    const existing = this.#verifiers.get(pem);
    if (existing !== undefined) return existing;
    if (this.#verifiers.size >= VERIFIERS_MAX) this.#verifiers.clear();
    const { issuer, audience } = this.#options;
    const verify = createVerifier({
      key: pem,
      algorithms: [ACCESS_TOKEN_ALGORITHM],
      allowedIss: issuer,
      allowedAud: audience,
      checkTyp: ACCESS_TOKEN_TYP,
      ignoreExpiration: true,
      ignoreNotBefore: true,
      requiredClaims: ['iss', 'aud', 'sub', 'exp', 'iat', 'jti', 'sid'],
      // Its cache would answer for a token whose key was taken back.
      cache: false,
    }) as Verify;
    this.#verifiers.set(pem, verify);
    return verify;
  }
}
