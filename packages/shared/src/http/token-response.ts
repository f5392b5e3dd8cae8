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

/** `?session=cookie` puts the tokens into cookies, for browsers. */
export const SessionModeSchema = Type.Object(
  { session: Type.Optional(Type.Literal('cookie', { description: 'The refresh token goes into a cookie.' })) },
  { additionalProperties: false },
);

const exampleAccess = {
  access: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIxIn0.bm90IGEgcmVhbCBvbmU',
  user_id: 1,
  phone_number: '0123456789',
  token_type: 'Bearer',
  expires_in: 300,
  refresh_expires_in: 604_800,
};

/** What token routes answer in either mode: {@link TokenResponseSchema}, or without `refresh` and with `csrf_token`. */
export const TokenAnswerSchema = Type.Object(
  {
    ...TokenResponseSchema.properties,
    refresh: Type.Optional(TokenResponseSchema.properties.refresh),
    device_token: Type.Optional(
      Type.String({ description: 'Of a login or registration: for `X-Device-Token` at the next login. Opaque.' }),
    ),
    csrf_token: Type.Optional(
      Type.String({ description: 'Cookie mode only: unsafe requests carry it in `X-CSRF-Token`.' }),
    ),
  },
  {
    $id: 'TokenAnswer',
    additionalProperties: false,
    description: 'The tokens of a session, and how long they live.',
    examples: [
      { refresh: 'v1.2f0a7c1e-4b8c-4a52-9a41-0b6d4f6f2c11.1.bm90IGEgcmVhbCBvbmU', ...exampleAccess },
      { ...exampleAccess, csrf_token: 'bm90IGEgcmVhbCBvbmUsIG9ubHkgYW4gZXhhbXBsZQ' },
    ],
  },
);
