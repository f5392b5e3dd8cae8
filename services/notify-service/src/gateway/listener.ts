import { hasScope, SCOPE_ALL_NOTIFICATIONS, SCOPE_READ_PRESENCE, type AccessTokenClaims } from '@infrasignal/shared';
import type { Audience, Variant } from '../hub/ports.ts';

/** Who is at the other end of a handshake, and what it may hear. */
export interface Listener {
  /** Null: nobody in particular, on the public feed. */
  readonly userId: number | null;
  readonly sessionId: string | null;
  /** When the right to listen ends, in milliseconds since 1970; null: never. */
  readonly expiresAtMs: number | null;
  readonly audience: Audience;
  /** True for who is told of others that come online and go offline. */
  readonly hearsPresence: boolean;
  /** True for `infrasignal.v1`. */
  readonly hasControlFrames: boolean;
  /** Where it comes from. */
  readonly address: string;
  /** Spares the check of the same token's signature next time; null on the public feed. */
  readonly ticket: string | null;
}

/** What is known of a listener whatever it may hear. */
export type ListenerOrigin = Pick<Listener, 'hasControlFrames' | 'address'>;

/** DEBUG's public feed: no account, every notification. */
export function publicListener({ hasControlFrames, address }: ListenerOrigin): Listener {
  const nobody = { userId: null, sessionId: null, expiresAtMs: null, ticket: null, hearsPresence: false };
  return { ...nobody, audience: { kind: 'everything' }, hasControlFrames, address };
}

/** The holder of a valid access token. */
export function tokenListener(claims: AccessTokenClaims, ticket: string, origin: ListenerOrigin): Listener {
  const { hasControlFrames, address } = origin;
  return {
    userId: claims.user_id,
    sessionId: claims.sid,
    expiresAtMs: claims.exp * 1_000,
    audience: audienceOf(claims),
    // The inherited form has no such frame.
    hearsPresence: hasControlFrames && hasScope(claims, SCOPE_READ_PRESENCE),
    hasControlFrames,
    address,
    ticket,
  };
}

/** Whose events the holder of a token hears: their own, or everybody's with the scope for it. */
export function audienceOf(claims: AccessTokenClaims): Audience {
  const seesAll = hasScope(claims, SCOPE_ALL_NOTIFICATIONS);
  return seesAll ? { kind: 'everything' } : { kind: 'user', userId: claims.user_id };
}

/** In which form this listener is sent events by a stream of server-sent events. */
export function streamVariantOf({ audience }: Listener): Variant {
  return audience.kind === 'everything' ? 'feed-stream' : 'own-stream';
}

/** In which form this listener is sent events on a socket. */
export function variantOf({ audience, hasControlFrames }: Listener): Variant {
  if (!hasControlFrames) return 'plain';
  return audience.kind === 'everything' ? 'feed' : 'own';
}
