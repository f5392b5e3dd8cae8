import { Type } from 'typebox';
import { PASSWORD_TEXT_LENGTH_MAX } from '../../lib/password-hasher.ts';

const PasswordText = Type.String({ minLength: 1, maxLength: PASSWORD_TEXT_LENGTH_MAX });

export const PasswordChangeBodySchema = Type.Object(
  { current_password: PasswordText, new_password: PasswordText },
  {
    additionalProperties: false,
    examples: [{ current_password: 'correct horse battery', new_password: 'another good pass phrase' }],
  },
);

export const PasswordChangedSchema = Type.Object(
  { ended: Type.Integer({ minimum: 0, description: 'How many other sessions ended.' }) },
  { additionalProperties: false, description: 'The new password is in force.', examples: [{ ended: 1 }] },
);
