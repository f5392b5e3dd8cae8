import { appNotification, isAppType } from './app-notification.ts';
import type { EventDefinition } from './event-envelope.ts';
import { sessionRevoked } from './session-revoked.ts';
import { userDeleted } from './user-deleted.ts';
import { userLogin } from './user-login.ts';
import { userPasswordChanged } from './user-password-changed.ts';
import { userRegistered } from './user-registered.ts';
import { userUpdated } from './user-updated.ts';

/** Every event of an account there is. A new event is a file beside this one and a line here. */
export const eventDefinitions: readonly EventDefinition[] = [
  userRegistered,
  userLogin,
  userUpdated,
  userPasswordChanged,
  userDeleted,
  sessionRevoked,
];

const byType = new Map(eventDefinitions.map((definition) => [definition.type, definition]));

/** The definition of a type, or null for a type that this release does not know. All of `app.` have one in common. */
export function findEventDefinition(type: string): EventDefinition | null {
  return byType.get(type) ?? (isAppType(type) ? appNotification : null);
}
