import { Type, type Static } from 'typebox';
import { PASSWORD_TEXT_LENGTH_MAX } from '../../lib/password-hasher.ts';
import { PHONE_NUMBER_LENGTH_MAX } from '../../lib/phone-number.ts';

/** Longer than any token we make (an access token with every scope is under 1.5 KiB). */
const TOKEN_LENGTH_MAX = 4096;

const EXAMPLE_SESSION_ID = '2f0a7c1e-4b8c-4a52-9a41-0b6d4f6f2c11';
const EXAMPLE_REFRESH_TOKEN = `v1.${EXAMPLE_SESSION_ID}.0.bm90IGEgcmVhbCBvbmUsIG9ubHkgYW4gZXhhbXBsZQ`;

export const LoginBodySchema = Type.Object(
  {
    phone_number: Type.String({ minLength: 1, maxLength: PHONE_NUMBER_LENGTH_MAX, examples: ['0123456789'] }),
    password: Type.String({ minLength: 1, maxLength: PASSWORD_TEXT_LENGTH_MAX, examples: ['correct horse battery'] }),
  },
  { additionalProperties: false, examples: [{ phone_number: '0123456789', password: 'correct horse battery' }] },
);
export type LoginBody = Static<typeof LoginBodySchema>;

const RefreshBody = Type.Object(
  { refresh: Type.String({ minLength: 1, maxLength: TOKEN_LENGTH_MAX }) },
  { additionalProperties: false },
);

/** In cookie mode the token comes in its cookie, and the body may be left out. */
export const RefreshBodySchema = Type.Union([RefreshBody, Type.Null()], {
  examples: [{ refresh: EXAMPLE_REFRESH_TOKEN }],
});

export const VerifyBodySchema = Type.Object(
  { token: Type.String({ minLength: 1, maxLength: 65_536, description: 'An access or a refresh token.' }) },
  { additionalProperties: false, examples: [{ token: EXAMPLE_REFRESH_TOKEN }] },
);

const LogoutBody = Type.Object(
  { refresh: Type.Optional(Type.String({ minLength: 1, maxLength: TOKEN_LENGTH_MAX })) },
  { additionalProperties: false },
);

const LogoutEverywhereBody = Type.Object(
  { keep_current: Type.Optional(Type.Boolean({ description: 'True: this session stays.' })) },
  { additionalProperties: false },
);

// Both bodies may be left out altogether; the server hands an absent one to the schema as null.
export const LogoutBodySchema = Type.Union([LogoutBody, Type.Null()], {
  examples: [{ refresh: EXAMPLE_REFRESH_TOKEN }],
});
export const LogoutEverywhereBodySchema = Type.Union([LogoutEverywhereBody, Type.Null()], {
  examples: [{ keep_current: true }],
});

/** How many sessions ended. */
export const EndedSessionsSchema = Type.Object(
  { ended: Type.Integer({ minimum: 0 }) },
  { additionalProperties: false, description: 'How many sessions ended.', examples: [{ ended: 2 }] },
);

export const SessionParamsSchema = Type.Object({
  session_id: Type.String({ format: 'uuid', examples: [EXAMPLE_SESSION_ID] }),
});

export const SessionListSchema = Type.Object(
  {
    sessions: Type.Array(
      Type.Object(
        {
          id: Type.String({ format: 'uuid' }),
          created_at: Type.String({ format: 'date-time' }),
          last_used_at: Type.String({ format: 'date-time' }),
          user_agent: Type.Union([Type.String(), Type.Null()]),
          address: Type.Union([Type.String(), Type.Null()], { description: 'Shortened: 192.0.2.0/24.' }),
          current: Type.Boolean({ description: 'True for the session that asks.' }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  {
    additionalProperties: false,
    description: 'The live sessions, the one last used first.',
    examples: [
      {
        sessions: [
          {
            id: EXAMPLE_SESSION_ID,
            created_at: '2026-03-01T17:45:12.345Z',
            last_used_at: '2026-03-01T18:00:00.000Z',
            user_agent: 'Mozilla/5.0',
            address: '192.0.2.0/24',
            current: true,
          },
        ],
      },
    ],
  },
);
