export { notificationsRoutes } from './notifications-routes.ts';
export { NotificationsService } from './notifications-service.ts';
