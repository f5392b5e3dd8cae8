/** Which passwords are accepted. */
export { passwordErrors } from './passwords-errors.ts';
export { PasswordPolicy, PASSWORD_LENGTH_MAX } from './passwords-service.ts';
