import { Type } from 'typebox';
import { defineEvent } from './event-envelope.ts';
import { withLaterValues } from './open-values.ts';

/** Something about the account was changed; what it is now, `GET /api/me/` tells. */
export const userUpdated = defineEvent({
  type: 'user.updated',
  version: 1,
  description: 'Something about the account was changed; what it is now, GET /api/me/ tells.',
  data: Type.Object(
    {
      user_id: Type.Integer({ minimum: 1 }),
      changed: Type.Array(withLaterValues(Type.Literal('email')), {
        minItems: 1,
        description: 'The fields that were changed.',
      }),
    },
    { examples: [{ user_id: 42, changed: ['email'] }] },
  ),
  inherited: null,
});
