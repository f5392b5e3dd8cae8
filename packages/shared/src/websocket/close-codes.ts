/**
 * Close codes of the socket. The range tells a client what to do, so that a client written today handles a code
 * invented tomorrow: 4000–4499 reconnect with full-jitter back-off and the last cursor, 4500–4999 do not.
 */
export interface CloseCode {
  readonly code: number;
  /** Sent as the close reason; stable. */
  readonly reason: string;
  readonly description: string;
}

function defineCloseCodes<Name extends string>(codes: Record<Name, CloseCode>): Readonly<Record<Name, CloseCode>> {
  return Object.freeze(codes);
}

export const closeCodes = defineCloseCodes({
  goingAway: {
    code: 4000,
    reason: 'going_away',
    description: 'The node is being restarted or drained. Reconnect within the window that `reconnect` named.',
  },
  resync: {
    code: 4001,
    reason: 'resync',
    description: 'The node cannot prove that this socket missed nothing. Reconnect with the last cursor.',
  },
  slow: {
    code: 4008,
    reason: 'slow',
    description: 'The client did not read fast enough and its queue was full. Reconnect with the last cursor.',
  },
  pongTimeout: {
    code: 4009,
    reason: 'pong_timeout',
    description: 'No answer to a ping in time. Reconnect with the last cursor.',
  },
  tokenExpired: {
    code: 4401,
    reason: 'token_expired',
    description: 'The access token expired and was not renewed. Refresh it, then reconnect.',
  },
  scopeReduced: {
    code: 4402,
    reason: 'scope_reduced',
    description: 'The token of `auth` allows less than this socket was sent. Reconnect with it.',
  },
  tooManyMessages: {
    code: 4429,
    reason: 'too_many_messages',
    description: 'The client sent more messages in a second than it may. Back off, then reconnect with the last cursor.',
  },
  invalidMessage: {
    code: 4500,
    reason: 'invalid_message',
    description: 'The client sent a message that breaks the protocol.',
  },
  sessionRevoked: {
    code: 4501,
    reason: 'session_revoked',
    description: 'The session of this socket ended: a logout, a new password, a stolen token. Log in again.',
  },
  tooManySockets: {
    code: 4502,
    reason: 'too_many_sockets',
    description:
      'The user opened more sockets than one may have, and this was the oldest. Reconnecting would only close the next.',
  },
});

/** What a client should do after a close code of this service. */
export function shouldReconnect(code: number): boolean {
  return code < 4500 || code > 4999;
}
