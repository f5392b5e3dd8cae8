/**
 * The environment of an auth-service that lets one address register and log in as often as a test, a benchmark or a
 * load wants, and to one account at any number of times at once, and that lets everybody wait for as long as a busy
 * machine takes. What is about the limits sets them itself.
 */
export const ROOMY_AUTH_LIMITS = {
  LOGIN_FAILURES_BEFORE_DELAY: '1000000',
  LOGIN_FAILURES_MAX: '1000000',
  ADDRESS_LOGIN_FAILURES_MAX: '1000000',
  ADDRESS_REGISTRATIONS_MAX: '1000000',
  SPRAYING_ACCOUNTS_MIN: '1000000',
  HASH_WAITING_MAX: '10000',
  HASH_WAIT_MS_MAX: '60000',
};
