/** Signs of attacks: noted, numbered, published for operators. */
export { SecurityEventPublisher } from './security-event-publisher.ts';
export { SecurityLog, type SecurityLogger, type SecurityStats } from './security-log.ts';
