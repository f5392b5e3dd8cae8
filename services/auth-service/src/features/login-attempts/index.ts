/** Wrong passwords: counted, slowed down, stopped. */
export { LoginAttempts, type LoginStats } from './login-attempts-service.ts';
export type { LoginLimits } from './login-limits.ts';
