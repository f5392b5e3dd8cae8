/** Logins: opened with a password, kept by refresh tokens. */
export { RefreshTokens } from './refresh-token.ts';
export { SessionOpener, type NewSession, type SessionOrigin } from './session-opener.ts';
export { sessionErrors } from './sessions-errors.ts';
export { sessionsRoutes } from './sessions-routes.ts';
export { SessionsService } from './sessions-service.ts';
