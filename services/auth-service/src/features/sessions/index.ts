/** Logins: opened with a password, kept by refresh tokens, listed, ended. */
export { RefreshTokens } from './refresh-token.ts';
export { SessionOpener, type NewSession, type SessionOrigin } from './session-opener.ts';
export { isAnySession, isOtherSession, revokeSessions } from './session-revocation.ts';
export { sessionErrors } from './sessions-errors.ts';
export { sessionsRoutes } from './sessions-routes.ts';
export { SessionsService } from './sessions-service.ts';
