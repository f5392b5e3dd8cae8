import { defineErrors } from '@infrasignal/shared';

/** Why a page of past notifications is refused, beside what any way to listen can answer with. */
export const historyErrors = defineErrors({
  unknown_cursor: [
    400,
    'Unknown cursor',
    'No such place: malformed, of somebody else, ahead of the log, or of a log that is no more. Ask without it.',
  ],
});
