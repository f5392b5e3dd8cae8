import { defineErrors } from '@infrasignal/shared';

export const sessionErrors = defineErrors({
  invalid_credentials: [401, 'Invalid credentials', 'No active account with this phone number and password.'],
  invalid_refresh_token: [401, 'Invalid refresh token', 'The refresh token is malformed, expired, used or revoked.'],
  session_not_found: [404, 'Session not found', 'You have no live session with this id.'],
});
