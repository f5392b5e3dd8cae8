import { Type, type Static } from 'typebox';
import { defineEvent } from './event-envelope.ts';

/** Why sessions ended before their time. */
export const SessionRevokedReasonSchema = Type.Union([
  Type.Literal('logout', { description: 'Logged out on that device.' }),
  Type.Literal('logout_everywhere', { description: 'Logged out on all devices, or on all but one.' }),
  Type.Literal('session_ended', { description: 'Ended from the list of sessions.' }),
  Type.Literal('password_changed'),
  Type.Literal('refresh_reuse', { description: 'A used refresh token came back: one of two holders is a thief.' }),
  Type.Literal('scopes_changed', { description: 'What the account may do was changed; a new login has it.' }),
  Type.Literal('client_revoked', { description: 'The credentials of a service were revoked.' }),
  Type.Literal('user_disabled'),
  Type.Literal('user_deleted'),
]);
export type SessionRevokedReason = Static<typeof SessionRevokedReasonSchema>;

/** At most this many sessions are named in one event: 80 KB, well below what a broker accepts (256 KB at least). */
export const REVOKED_SESSIONS_MAX = 2_000;

/** Sessions ended before their time. Their tokens are refused and their sockets closed. */
export const sessionRevoked = defineEvent({
  type: 'session.revoked',
  version: 1,
  description: 'Sessions ended before their time. Their tokens are refused and their sockets closed.',
  data: Type.Object(
    {
      user_id: Type.Integer({ minimum: 1 }),
      session_ids: Type.Array(Type.String({ format: 'uuid' }), { minItems: 1, maxItems: REVOKED_SESSIONS_MAX }),
      reason: SessionRevokedReasonSchema,
    },
    { examples: [{ user_id: 42, session_ids: ['3f0e0b5a-6f0c-4a53-9d0a-0c7d0e5b8f11'], reason: 'logout' }] },
  ),
  inherited: null,
});

export type SessionRevokedData = Static<typeof sessionRevoked.data>;
