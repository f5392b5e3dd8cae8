import { Type } from 'typebox';
import { PASSWORD_TEXT_LENGTH_MAX } from '../../lib/password-hasher.ts';

const PasswordText = Type.String({ minLength: 1, maxLength: PASSWORD_TEXT_LENGTH_MAX });

export const PasswordChangeBodySchema = Type.Object(
  { current_password: PasswordText, new_password: PasswordText },
  { additionalProperties: false },
);

export const PasswordChangedSchema = Type.Object(
  { ended: Type.Integer({ minimum: 0, description: 'How many other sessions ended.' }) },
  { additionalProperties: false },
);
