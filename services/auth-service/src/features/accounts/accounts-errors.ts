import { defineErrors } from '@infrasignal/shared';

export const accountErrors = defineErrors({
  phone_number_taken: [409, 'Phone number taken', 'There is an account with this phone number.'],
  email_taken: [409, 'E-mail address taken', 'There is an account with this e-mail address.'],
  idempotency_key_spent: [
    409,
    'Idempotency key spent',
    'The registration of this key is done, and the session it was answered with was refreshed or has ended: log in.',
  ],
});

/** Field codes of a registration. */
export const accountFieldErrors = defineErrors({
  invalid_email: [400, 'Invalid e-mail address', 'This is not an e-mail address.'],
});
