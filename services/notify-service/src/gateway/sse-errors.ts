import { defineErrors } from '@infrasignal/shared';

/** Why a stream of server-sent events is refused, beside what any way to listen can answer with. */
export const sseErrors = defineErrors({
  event_stream_only: [
    400,
    'Not a WebSocket address',
    'This address answers with server-sent events; sockets are opened at `/ws/notifications/`.',
  ],
  not_acceptable: [406, 'Not acceptable', 'This address answers with `text/event-stream` and with nothing else.'],
});
