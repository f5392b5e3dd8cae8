import { defineErrors } from '@infrasignal/shared/plain';

/** What the gateway answers by itself, when a service cannot. */
export const gatewayErrors = defineErrors({
  bad_gateway: [502, 'Bad gateway', 'The service behind this path is not there at the moment; try again as told.'],
  gateway_timeout: [504, 'Gateway timeout', 'The service behind this path did not answer in time; try again as told.'],
  invalid_request_target: [400, 'Invalid request target', 'The request line must hold a path that begins with `/`.'],
});
