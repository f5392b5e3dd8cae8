import { Type, type Static } from 'typebox';
import { defineEvent } from './event-envelope.ts';

/** Somebody logged in to the account with its password. */
export const userLogin = defineEvent({
  type: 'user.login',
  version: 1,
  description: 'Somebody logged in to the account with its password.',
  data: Type.Object(
    {
      user_id: Type.Integer({ minimum: 1 }),
      phone_number: Type.String({ minLength: 1, maxLength: 64, description: 'As the user wrote it at registration.' }),
    },
    { examples: [{ user_id: 42, phone_number: '0123456789' }] },
  ),
  inherited: { status: 'success', message: 'Utilisateur connecté' },
});

export type UserLoginData = Static<typeof userLogin.data>;
