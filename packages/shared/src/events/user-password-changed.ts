import { Type } from 'typebox';
import { defineEvent } from './event-envelope.ts';

/** The password was changed. Other sessions end with it, in a session.revoked of their own. */
export const userPasswordChanged = defineEvent({
  type: 'user.password_changed',
  version: 1,
  description: 'The password was changed. Other sessions end with it, in a session.revoked of their own.',
  data: Type.Object({ user_id: Type.Integer({ minimum: 1 }) }, { examples: [{ user_id: 42 }] }),
  inherited: null,
});
