import { Type } from 'typebox';
import { defineEvent } from './event-envelope.ts';

/** The account was deleted. Always the last event of its user. */
export const userDeleted = defineEvent({
  type: 'user.deleted',
  version: 1,
  description: 'The account was deleted. Always the last event of its user.',
  data: Type.Object({ user_id: Type.Integer({ minimum: 1 }) }, { examples: [{ user_id: 42 }] }),
  inherited: null,
});
