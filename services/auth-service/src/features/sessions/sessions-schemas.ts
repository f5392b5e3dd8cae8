import { Type, type Static } from 'typebox';
import { PASSWORD_TEXT_LENGTH_MAX } from '../../lib/password-hasher.ts';
import { PHONE_NUMBER_LENGTH_MAX } from '../../lib/phone-number.ts';

export const LoginBodySchema = Type.Object(
  {
    phone_number: Type.String({ minLength: 1, maxLength: PHONE_NUMBER_LENGTH_MAX, examples: ['0123456789'] }),
    password: Type.String({ minLength: 1, maxLength: PASSWORD_TEXT_LENGTH_MAX, examples: ['correct horse battery'] }),
  },
  { additionalProperties: false },
);
export type LoginBody = Static<typeof LoginBodySchema>;
