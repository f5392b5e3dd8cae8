import { Type, type Static } from 'typebox';
import { EMAIL_LENGTH_MAX } from '../../lib/email-address.ts';
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
  { additionalProperties: false },
);
export type RegisterBody = Static<typeof RegisterBodySchema>;
