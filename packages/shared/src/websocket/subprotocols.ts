/** The subprotocol with control frames and cursors. Without it a socket gets the inherited plain notifications. */
export const SUBPROTOCOL = 'infrasignal.v1';

/** A browser cannot set a header on a socket, so its access token rides as a second subprotocol. */
export const BEARER_SUBPROTOCOL_PREFIX = 'bearer.';

/** A reconnect ticket rides as one more subprotocol, beside the token that it was given for. */
export const TICKET_SUBPROTOCOL_PREFIX = 'ticket.';
