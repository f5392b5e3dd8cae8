import { defineErrors } from '@infrasignal/shared';

/** Why a handshake is refused, beside what any route can answer with. */
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
});
