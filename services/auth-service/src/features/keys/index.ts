/** Signing keys: made, kept encrypted, published. */
export { keysRoutes } from './keys-routes.ts';
export { KeyRing } from './keys-service.ts';
