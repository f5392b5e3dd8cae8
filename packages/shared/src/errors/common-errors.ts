import { defineErrors } from './define-errors.ts';

/** Problems that any route of any service can answer with. */
export const commonErrors = defineErrors({
  invalid_request: [400, 'Invalid request', 'The request breaks the schema of this route; `errors` names each place.'],
  malformed_body: [400, 'Malformed body', 'The body is not well-formed JSON in UTF-8.'],
  invalid_token: [401, 'Invalid token', 'The access token is missing, malformed, expired or revoked.'],
  insufficient_scope: [403, 'Insufficient scope', 'The access token lacks a scope that this needs; `detail` names it.'],
  forbidden_origin: [403, 'Origin not allowed', 'This Origin is not on the list of allowed origins.'],
  not_found: [404, 'Not found', 'There is no such resource.'],
  method_not_allowed: [405, 'Method not allowed', 'The resource does not have this method; `Allow` lists what it has.'],
  payload_too_large: [413, 'Payload too large', 'The body is larger than this route accepts.'],
  unsupported_media_type: [415, 'Unsupported media type', 'Send the body as application/json.'],
  throttled: [429, 'Too many attempts', 'Too many attempts; `Retry-After` says when the next one is looked at.'],
  internal_error: [500, 'Internal error', 'Something failed on our side. Quote `request_id` when you report it.'],
  service_unavailable: [503, 'Service unavailable', 'Something this route needs is away; try again as told.'],
});

/** Codes of single fields in `errors[]` that the schemas themselves produce; features add their own. */
export const fieldErrors = defineErrors({
  required: [400, 'Required', 'This field is required.'],
  invalid_type: [400, 'Invalid type', 'This field has the wrong type; nothing is converted.'],
  unknown_field: [400, 'Unknown field', 'This field does not exist here; nothing is dropped in silence.'],
  too_short: [400, 'Too short', 'This field is shorter than it may be.'],
  too_long: [400, 'Too long', 'This field is longer than it may be.'],
  invalid_format: [400, 'Invalid format', 'This field does not have the form it must have.'],
  invalid_value: [400, 'Invalid value', 'This value is not allowed here.'],
  invalid_characters: [400, 'Invalid characters', 'This field contains NUL or an unpaired surrogate.'],
});
