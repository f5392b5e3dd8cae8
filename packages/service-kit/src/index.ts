/** What every service needs at its edges. */
export * from './address-key.ts';
export * from './broker.ts';
export * from './entity-tag.ts';
export * from './error-handler-plugin.ts';
export * from './error-serializer.ts';
export * from './graceful-close-plugin.ts';
export * from './health-plugin.ts';
export * from './json-body-plugin.ts';
export * from './logger.ts';
export * from './metrics/metric-definitions.ts';
export * from './metrics/metric-registry.ts';
export * from './metrics/metrics-plugin.ts';
export * from './problem-error.ts';
export * from './run-service.ts';
export * from './security-headers-plugin.ts';
export * from './server-options.ts';
export * from './settings.ts';
export { fieldErrorOf } from './validation-problems.ts';
