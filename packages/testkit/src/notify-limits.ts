/**
 * Settings of notify-service for harnesses that open thousands of sockets from 127.0.0.1, some of one user: what
 * protects a node from strangers is out of their way, everything else is as in production.
 */
export const ROOMY_NOTIFY_LIMITS = {
  SOCKETS_PER_USER_MAX: '100000',
  SOCKETS_PER_ADDRESS_MAX: '1000000',
  HANDSHAKES_PER_SECOND_MAX: '1000000',
  HANDSHAKES_PER_ADDRESS_PER_SECOND_MAX: '1000000',
  // Machines that run tests have other things to do as well.
  EVENT_LOOP_DELAY_MS_MAX: '60000',
} as const;
