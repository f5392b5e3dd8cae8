/** Accounts: who they are, from registration to deletion. */
export { accountErrors, accountFieldErrors } from './accounts-errors.ts';
export { accountsRoutes } from './accounts-routes.ts';
export { meRoutes } from './me-routes.ts';
export { AccountsService } from './accounts-service.ts';
export { RegistrationKeys } from './registration-keys.ts';
export { changeScope, findAccount, grantableScopes, type GrantableScope } from './account-scopes.ts';
export { findListedAccount, listAccounts, type ListedAccount } from './account-listing.ts';
export { setDisabled } from './account-status.ts';
