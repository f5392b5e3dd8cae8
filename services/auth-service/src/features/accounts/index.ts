/** Accounts: who they are. */
export { accountErrors, accountFieldErrors } from './accounts-errors.ts';
export { accountsRoutes } from './accounts-routes.ts';
export { AccountsService } from './accounts-service.ts';
