import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { isUserId } from '../subjects.ts';

/** `typ` of an access token's header (RFC 9068 section 2.1), so that no other signed token passes for one. */
export const ACCESS_TOKEN_TYP = 'at+jwt';

/** The only algorithm there is (RFC 8037, Ed25519). Verifiers name it; they never take it from the token. */
export const ACCESS_TOKEN_ALGORITHM = 'EdDSA';

/**
 * No access token lives longer than this, in seconds. It is also how long a revocation must be remembered by whoever
 * verifies tokens without asking the database.
 */
export const ACCESS_TOKEN_TTL_SECONDS_MAX = 900;

/** Scope of staff and services: sees the notifications of every user. */
export const SCOPE_ALL_NOTIFICATIONS = 'notifications:all';

/** Scope of services: may send notifications to users that it names. */
export const SCOPE_SEND_NOTIFICATIONS = 'notifications:send';

/** Scope of services: may send a notification to everybody. It does not include the one before, nor that one it. */
export const SCOPE_BROADCAST_NOTIFICATIONS = 'notifications:broadcast';

/** Scope of staff and services: sees who is online, and hears of who comes and goes. */
export const SCOPE_READ_PRESENCE = 'presence:read';

/** What an access token says. `exp` and `iat` are in seconds since 1970 (RFC 7519 section 2, NumericDate). */
export const AccessTokenClaimsSchema = Type.Object(
  {
    iss: Type.String({ minLength: 1 }),
    sub: Type.String({ pattern: '^[1-9][0-9]{0,15}$', description: 'The user id as text, as RFC 7519 wants it.' }),
    aud: Type.Union([Type.String(), Type.Array(Type.String())]),
    iat: Type.Integer({ minimum: 0 }),
    exp: Type.Integer({ minimum: 0 }),
    jti: Type.String({ minLength: 1, maxLength: 64 }),
    sid: Type.String({ format: 'uuid', description: 'The session that this token belongs to.' }),
    token_type: Type.Literal('access'),
    user_id: Type.Integer({ minimum: 1 }),
    scope: Type.Optional(Type.String({ maxLength: 1024, description: 'Space-separated (RFC 8693 section 4.2).' })),
  },
  { $id: 'AccessTokenClaims', additionalProperties: true },
);
export type AccessTokenClaims = Static<typeof AccessTokenClaimsSchema>;

const claimsValidator = Compile(AccessTokenClaimsSchema);

/** The claims of a verified payload; null when they are not those of an access token, or contradict each other. */
export function parseAccessTokenClaims(payload: unknown): AccessTokenClaims | null {
  if (!claimsValidator.Check(payload)) return null;
  return isUserId(payload.user_id) && payload.sub === String(payload.user_id) ? payload : null;
}

/** True if the token carries this scope. */
export function hasScope(claims: Pick<AccessTokenClaims, 'scope'>, scope: string): boolean {
  return claims.scope?.split(' ').includes(scope) ?? false;
}
