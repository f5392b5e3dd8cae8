import { defineErrors } from '@infrasignal/shared';

/** Field codes of a password that is refused. */
export const passwordFieldErrors = defineErrors({
  password_too_short: [400, 'Password too short', 'This password is too short.'],
  password_too_long: [400, 'Password too long', 'This password is longer than 256 characters.'],
  password_common: [400, 'Password too common', 'This password is among the first that an attacker would try.'],
});

export const passwordErrors = defineErrors({
  wrong_password: [403, 'Wrong password', 'The current password is not this one.'],
});
