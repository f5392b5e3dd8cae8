import { hasScope, SCOPE_ALL_NOTIFICATIONS, type AccessTokenClaims } from '@infrasignal/shared';
import type { Audience, Variant } from '../hub/ports.ts';

/** Who is at the other end of a handshake, and what it may hear. */
export interface Listener {
  /** Null: nobody in particular, on the public feed. */
  readonly userId: number | null;
  readonly sessionId: string | null;
  /** When the right to listen ends, in milliseconds since 1970; null: never. */
  readonly expiresAtMs: number | null;
  readonly audience: Audience;
  /** True for `infrasignal.v1`. */
  readonly hasControlFrames: boolean;
}

/** DEBUG's public feed: no account, every notification. */
export function publicListener(hasControlFrames: boolean): Listener {
  return { userId: null, sessionId: null, expiresAtMs: null, audience: { kind: 'everything' }, hasControlFrames };
}

/** The holder of a valid access token: hears its own events, or everybody's with the scope for it. */
export function tokenListener(claims: AccessTokenClaims, hasControlFrames: boolean): Listener {
  const seesAll = hasScope(claims, SCOPE_ALL_NOTIFICATIONS);
  return {
    userId: claims.user_id,
    sessionId: claims.sid,
    expiresAtMs: claims.exp * 1_000,
    audience: seesAll ? { kind: 'everything' } : { kind: 'user', userId: claims.user_id },
    hasControlFrames,
  };
}

/** In which form this listener is sent events. */
export function variantOf({ audience, hasControlFrames }: Listener): Variant {
  if (!hasControlFrames) return 'plain';
  return audience.kind === 'everything' ? 'feed' : 'own';
}
