import { defineErrors } from '@infrasignal/shared';

/** Why somebody who wants to listen is refused, beside what any route can answer with. */
export const gatewayErrors = defineErrors({
  upgrade_required: [426, 'Upgrade required', 'This address speaks WebSocket (RFC 6455, version 13) and nothing else.'],
  invalid_handshake: [
    400,
    'Invalid handshake',
    'The request asks for an upgrade, but not for a WebSocket of RFC 6455.',
  ],
  token_in_query: [
    400,
    'Token in the query string',
    'Query strings end up in logs: send the token in `Authorization: Bearer`, or as the subprotocol `bearer.<token>`.',
  ],
  subprotocol_required: [
    400,
    'Subprotocol required',
    'A token sent as a subprotocol must come along with `infrasignal.v1`, which is what the server can answer with.',
  ],
  too_many_handshakes: [
    429,
    'Too many handshakes',
    'Too many connections were opened from this address within a second; try again as told.',
  ],
  too_many_connections: [
    429,
    'Too many connections',
    'As many connections as one address may have are open from this one; try again as told.',
  ],
  node_full: [503, 'Node full', 'This node has as many connections as it takes; try again as told, perhaps elsewhere.'],
  node_busy: [503, 'Node busy', 'Too many connections are being opened at this node; try again as told.'],
  node_overloaded: [503, 'Node overloaded', 'This node is behind with its work and takes no more; try again as told.'],
});
