import { Type, type Static } from 'typebox';
import { defineEvent } from './event-envelope.ts';

/** An account was created. Always the first event of its user (`seq` 1). */
export const userRegistered = defineEvent({
  type: 'user.registered',
  version: 1,
  description: 'An account was created. Always the first event of its user (seq 1).',
  data: Type.Object(
    {
      user_id: Type.Integer({ minimum: 1 }),
      phone_number: Type.String({ minLength: 1, maxLength: 64, description: 'As the user wrote it.' }),
    },
    { examples: [{ user_id: 42, phone_number: '0123456789' }] },
  ),
  inherited: { status: 'success', message: 'Nouvel utilisateur inscrit' },
});

export type UserRegisteredData = Static<typeof userRegistered.data>;
