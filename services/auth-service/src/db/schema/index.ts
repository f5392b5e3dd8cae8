/** Every table. They live together because they reference each other; the features own the queries. */
export * from './address-budgets.ts';
export * from './login-failures.ts';
export * from './notifications.ts';
export * from './outbox.ts';
export * from './outbox-relay.ts';
export * from './registration-keys.ts';
export * from './security-events.ts';
export * from './service-clients.ts';
export * from './sessions.ts';
export * from './signing-keys.ts';
export * from './user-imports.ts';
export * from './users.ts';
