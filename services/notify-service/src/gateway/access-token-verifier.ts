import {
  ACCESS_TOKEN_ALGORITHM,
  ACCESS_TOKEN_TYP,
  parseAccessTokenClaims,
  type AccessTokenClaims,
} from '@infrasignal/shared';
import type { JWT } from '@fastify/jwt';
import type { JwksKeys } from './jwks-keys.ts';

/** A token of ours has about 600 characters; one far longer is not decoded at all. */
const TOKEN_LENGTH_MAX = 8_192;

const KID_LENGTH_MAX = 128;

/** Headers that tell a verifier where to take the key from (RFC 7515 section 4.1): the sender's choice, so never. */
const KEY_HEADERS = ['jku', 'jwk', 'x5u', 'x5c'];

/** The token is not a valid access token. The message is for the log and never holds the token. */
export class InvalidTokenError extends Error {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'InvalidTokenError';
  }
}

export interface TokenRules {
  readonly issuer: string;
  readonly audience: string;
}

/** Verifies access tokens with the public keys of auth-service, by RFC 8725 and RFC 9068 section 4. */
export class AccessTokenVerifier {
  readonly #jwt: JWT;
  readonly #keys: JwksKeys;
  readonly #rules: TokenRules;

  constructor(jwt: JWT, keys: JwksKeys, rules: TokenRules) {
    this.#jwt = jwt;
    this.#keys = keys;
    this.#rules = rules;
  }

  /** @throws InvalidTokenError */
  async verify(token: string): Promise<AccessTokenClaims> {
    if (token.length > TOKEN_LENGTH_MAX) throw new InvalidTokenError('longer than any access token');
    const key = await this.#keys.find(this.#readKid(token));
    if (key === null) throw new InvalidTokenError('signed with a key that auth-service does not have');
    const claims = parseAccessTokenClaims(this.#verifyWith(key, token));
    if (claims === null) throw new InvalidTokenError('not the claims of an access token');
    return claims;
  }

  #readKid(token: string): string {
    const { header } = this.#attempt(() => this.#jwt.decode<{ header: Record<string, unknown> }>(token, { complete: true })) ?? {};
    const { alg, kid } = header ?? {};
    if (alg !== ACCESS_TOKEN_ALGORITHM) throw new InvalidTokenError('not the algorithm of access tokens');
    if (header === undefined || KEY_HEADERS.some((name) => name in header)) {
      throw new InvalidTokenError('brings a key of its own');
    }
    if (typeof kid !== 'string' || kid.length > KID_LENGTH_MAX) throw new InvalidTokenError('names no key');
    return kid;
  }

  #verifyWith(key: string, token: string): unknown {
    return this.#attempt(() =>
      this.#jwt.verify<Record<string, unknown>>(token, {
        key,
        algorithms: [ACCESS_TOKEN_ALGORITHM],
        allowedIss: this.#rules.issuer,
        allowedAud: this.#rules.audience,
        requiredClaims: ['iss', 'sub', 'aud', 'iat', 'exp', 'jti', 'sid', 'token_type', 'user_id'],
        checkTyp: ACCESS_TOKEN_TYP,
        cache: false,
      }),
    );
  }

  /** What the library throws is the token's fault. */
  #attempt<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw new InvalidTokenError('not verifiable', { cause: error });
    }
  }
}
