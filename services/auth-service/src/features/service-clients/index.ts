/** Credentials for other teams' services. */
export { serviceClientErrors } from './service-clients-errors.ts';
export { serviceClientsRoutes } from './service-clients-routes.ts';
export { ServiceClientsService } from './service-clients-service.ts';
