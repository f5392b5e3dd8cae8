import { Type, type Static } from 'typebox';
import { defineEvent, type EventEnvelope } from './event-envelope.ts';
import { withLaterValues } from './open-values.ts';

/** Why sessions ended before their time: what this release writes. */
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
      reason: withLaterValues(SessionRevokedReasonSchema),
    },
    { examples: [{ user_id: 42, session_ids: ['3f0e0b5a-6f0c-4a53-9d0a-0c7d0e5b8f11'], reason: 'logout' }] },
  ),
  inherited: null,
});

export type SessionRevokedData = Static<typeof sessionRevoked.data>;

const NONE: readonly string[] = [];

/**
 * The sessions that an event ends, whatever the version of its data: `session_ids` keeps its name and meaning in all
 * of them, so that a node of an older release closes what a newer one revoked. Empty for every other event.
 */
export function findEndedSessions({ type, data }: Pick<EventEnvelope, 'type' | 'data'>): readonly string[] {
  if (type !== sessionRevoked.type || !Array.isArray(data.session_ids)) return NONE;
  return data.session_ids.filter((id): id is string => typeof id === 'string');
}
