import { ACCESS_TOKEN_TYP, parseAccessTokenClaims, SCOPE_ALL_NOTIFICATIONS, type AccessTokenClaims } from '@infrasignal/shared';
import { InvalidTokenError } from '@infrasignal/token-verifier';

/** How long a token lives here: shorter than most schedules, so that some run out. */
export const TOKEN_LIFE_MS = 60_000;

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** When a token that is issued now ends. */
export function endOfToken(nowMs: number): number {
  return Math.floor(nowMs / 1_000) * 1_000 + TOKEN_LIFE_MS;
}

/** An access token as it looks; its signature is a word. */
export function issueToken(userId: number, sessionId: string, seesAll: boolean, nowMs: number): string {
  const iat = Math.floor(nowMs / 1_000);
  const claims: AccessTokenClaims = {
    iss: 'infrasignal',
    sub: String(userId),
    aud: 'infrasignal',
    iat,
    exp: endOfToken(nowMs) / 1_000,
    jti: `${sessionId.slice(0, 8)}-${iat}`,
    sid: sessionId,
    token_type: 'access',
    user_id: userId,
    ...(seesAll ? { scope: SCOPE_ALL_NOTIFICATIONS } : {}),
  };
  return `${encode({ alg: 'EdDSA', typ: ACCESS_TOKEN_TYP, kid: 'key' })}.${encode(claims)}.signed`;
}

/** What the signature check does, without the cryptography. @throws InvalidTokenError */
export async function verifyToken(token: string, nowMs: number): Promise<AccessTokenClaims> {
  const [, payload, signature] = token.split('.');
  const claims = parseAccessTokenClaims(JSON.parse(Buffer.from(payload ?? '', 'base64url').toString('utf8')));
  if (signature !== 'signed' || claims === null || claims.exp * 1_000 <= nowMs) throw new InvalidTokenError('invalid');
  return claims;
}
