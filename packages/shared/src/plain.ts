/**
 * What needs no schemas: names, and rules in code. Who needs no more, a proxy or a test's client, is spared loading the
 * schema library, which costs a process more than everything else in here together.
 */
export * from './subjects.ts';
export * from './stream.ts';
export * from './websocket/close-codes.ts';
export * from './websocket/subprotocols.ts';
export * from './errors/common-errors.ts';
export * from './errors/define-errors.ts';
export * from './errors/problem.ts';
