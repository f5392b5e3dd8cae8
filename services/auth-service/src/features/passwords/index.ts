/** Which passwords are accepted, and how one is changed. */
export { BreachedPasswords } from './breached-passwords.ts';
export { PasswordKinds } from './password-kinds.ts';
export { PasswordPolicy, PASSWORD_LENGTH_MAX } from './password-policy.ts';
export { passwordErrors, passwordFieldErrors } from './passwords-errors.ts';
export { passwordsRoutes } from './passwords-routes.ts';
export { PasswordsService } from './passwords-service.ts';
