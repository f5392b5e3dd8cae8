import { Type, type Static } from 'typebox';

/** The answer to a registration, a login and a refresh: what the Django original sent, and when it runs out. */
export const TokenResponseSchema = Type.Object(
  {
    refresh: Type.String({ description: 'Opaque. Each refresh replaces it.' }),
    access: Type.String({ description: 'A JWT (EdDSA) for `Authorization: Bearer`.' }),
    user_id: Type.Integer({ minimum: 1 }),
    phone_number: Type.String({ description: 'As the user wrote it at registration.' }),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ minimum: 1, description: 'Life of the access token, in seconds.' }),
    refresh_expires_in: Type.Integer({ minimum: 0, description: 'Life of the refresh token if unused, in seconds.' }),
  },
  { $id: 'TokenResponse', additionalProperties: false },
);
export type TokenResponse = Static<typeof TokenResponseSchema>;

/** Claims of an access token (RFC 9068, with the names that SimpleJWT used beside the registered ones). */
export interface AccessTokenClaims {
  readonly iss: string;
  /** The user id as text. */
  readonly sub: string;
  readonly aud: string;
  /** Seconds since the epoch. */
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  /** The session; what a revocation names. */
  readonly sid: string;
  readonly token_type: 'access';
  readonly user_id: number;
  /** Space-separated (RFC 8693 section 4.2). */
  readonly scope?: string;
}

/** Header `typ` of an access token (RFC 9068 section 2.1). */
export const ACCESS_TOKEN_TYP = 'at+jwt';
