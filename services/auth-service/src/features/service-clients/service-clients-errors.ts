import { defineErrors } from '@infrasignal/shared';

export const serviceClientErrors = defineErrors({
  invalid_client: [401, 'Invalid client', 'No live service client has this id and secret.'],
});
