/** Access tokens of infraSignal, verified anywhere. */
export * from './access-token-verifier.ts';
export * from './jwks-key-source.ts';
export * from './reference-clock.ts';
export * from './session-revocations.ts';
