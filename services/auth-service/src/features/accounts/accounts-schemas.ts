import { Type, type Static } from 'typebox';
import { EMAIL_LENGTH_MAX } from '../../lib/email-address.ts';
import { IDEMPOTENCY_KEY_PATTERN } from '../../lib/idempotency-key.ts';
import { PASSWORD_TEXT_LENGTH_MAX } from '../../lib/password-hasher.ts';
import { PHONE_NUMBER_LENGTH_MAX } from '../../lib/phone-number.ts';

export const RegisterBodySchema = Type.Object(
  {
    phone_number: Type.String({
      minLength: 1,
      maxLength: PHONE_NUMBER_LENGTH_MAX,
      description: 'In any common way of writing; national numbers are read by DEFAULT_REGION.',
      examples: ['0123456789', '+33 1 23 45 67 89'],
    }),
    password: Type.String({ minLength: 1, maxLength: PASSWORD_TEXT_LENGTH_MAX, examples: ['correct horse battery'] }),
    email: Type.Optional(
      Type.Union([Type.String({ minLength: 1, maxLength: EMAIL_LENGTH_MAX }), Type.Null()], {
        description: 'Optional; null counts as absent. Its domain is folded to lower case.',
        examples: ['user@example.com'],
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [
      { phone_number: '0123456789', password: 'correct horse battery', email: 'user@example.com' },
    ],
  },
);
export type RegisterBody = Static<typeof RegisterBodySchema>;

export const RegisterHeadersSchema = Type.Object({
  'Idempotency-Key': Type.Optional(
    Type.String({
      pattern: IDEMPOTENCY_KEY_PATTERN,
      description:
        'A key of the client’s own making, new for each registration (a UUID, say). A retry with the same key and the ' +
        'same body is answered like the first: one account, one session, the same refresh token. Kept for a day.',
      examples: ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    }),
  ),
});

const NullableDateTime = Type.Union([Type.String({ format: 'date-time' }), Type.Null()]);

const profileProperties = {
  user_id: Type.Integer({ minimum: 1 }),
  phone_number: Type.String({ description: 'As it was written at registration.' }),
  phone_number_e164: Type.String({ examples: ['+33123456789'] }),
  email: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.String({ format: 'date-time' }),
  last_login_at: NullableDateTime,
};

const exampleProfile = {
  user_id: 1,
  phone_number: '01 23 45 67 89',
  phone_number_e164: '+33123456789',
  email: 'user@example.com',
  created_at: '2026-01-05T09:30:00.000Z',
  last_login_at: '2026-03-01T17:45:12.345Z',
};

export const ProfileSchema = Type.Object(profileProperties, {
  $id: 'Profile',
  additionalProperties: false,
  description: 'One’s account.',
  examples: [exampleProfile],
});

export const ExportSchema = Type.Object(
  {
    ...profileProperties,
    scopes: Type.Array(Type.String()),
    sessions: Type.Array(
      Type.Object({
        id: Type.String({ format: 'uuid' }),
        created_at: Type.String({ format: 'date-time' }),
        last_used_at: Type.String({ format: 'date-time' }),
        expires_at: Type.String({ format: 'date-time' }),
        revoked_at: NullableDateTime,
        user_agent: Type.Union([Type.String(), Type.Null()]),
        address: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
    events: Type.Array(
      Type.Object({
        id: Type.String({ format: 'uuid' }),
        type: Type.String(),
        seq: Type.Integer(),
        time: Type.String({ format: 'date-time' }),
        data: Type.Record(Type.String(), Type.Unknown()),
      }),
      { description: 'Events that are still in the outbox; older ones age out of the event log within 7 days.' },
    ),
  },
  {
    $id: 'Export',
    additionalProperties: false,
    description: 'All that is held, as a file to keep.',
    examples: [
      {
        ...exampleProfile,
        scopes: [],
        sessions: [
          {
            id: '2f0a7c1e-4b8c-4a52-9a41-0b6d4f6f2c11',
            created_at: '2026-03-01T17:45:12.345Z',
            last_used_at: '2026-03-01T18:00:00.000Z',
            expires_at: '2026-03-08T18:00:00.000Z',
            revoked_at: null,
            user_agent: 'Mozilla/5.0',
            address: '192.0.2.0/24',
          },
        ],
        events: [
          {
            id: '8c6f6a7e-9d1b-4c59-8f3e-5b1f8a0e7d21',
            type: 'user.login',
            seq: 2,
            time: '2026-03-01T17:45:12.345Z',
            data: { phone_number: '01 23 45 67 89' },
          },
        ],
      },
    ],
  },
);

const CurrentPassword = Type.String({ minLength: 1, maxLength: PASSWORD_TEXT_LENGTH_MAX });

export const ProfileChangeBodySchema = Type.Object(
  {
    email: Type.Union([Type.String({ minLength: 1, maxLength: EMAIL_LENGTH_MAX }), Type.Null()], {
      description: 'The new address; null removes it.',
    }),
    current_password: CurrentPassword,
  },
  {
    additionalProperties: false,
    examples: [{ email: 'new.address@example.com', current_password: 'correct horse battery' }],
  },
);

export const AccountDeletionBodySchema = Type.Object(
  { current_password: CurrentPassword },
  { additionalProperties: false, examples: [{ current_password: 'correct horse battery' }] },
);
