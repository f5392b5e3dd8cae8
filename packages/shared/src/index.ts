/** The contract between processes. Pure: types, schemas, names; no I/O. */
export * from './http/access-token.ts';
export * from './subjects.ts';
export * from './stream.ts';
export * from './events/event-envelope.ts';
export * from './events/event-catalog.ts';
export * from './events/parse-event.ts';
export * from './events/user-registered.ts';
export * from './events/user-login.ts';
export * from './events/session-revoked.ts';
export * from './websocket/close-codes.ts';
export * from './websocket/cursor.ts';
export * from './websocket/frames.ts';
export * from './websocket/notification.ts';
export * from './errors/common-errors.ts';
export * from './errors/define-errors.ts';
export * from './errors/problem.ts';
export * from './http/token-response.ts';
