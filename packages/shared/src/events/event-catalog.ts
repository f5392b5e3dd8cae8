import { appNotification, isAppType } from './app-notification.ts';
import type { EventDefinition } from './event-envelope.ts';
import { sessionRevoked } from './session-revoked.ts';
import { userDeleted } from './user-deleted.ts';
import { userLogin } from './user-login.ts';
import { userPasswordChanged } from './user-password-changed.ts';
import { userRegistered } from './user-registered.ts';
import { userUpdated } from './user-updated.ts';

/**
 * Every event of an account there is. A new event is a file beside this one and a line here, and so is a new version of
 * one: the version before stays in the list for as long as the stream holds it (docs/protocol/events.md, section 9).
 */
export const eventDefinitions: readonly EventDefinition[] = [
  userRegistered,
  userLogin,
  userUpdated,
  userPasswordChanged,
  userDeleted,
  sessionRevoked,
];

const byName = new Map(eventDefinitions.map((definition) => [toName(definition), definition]));

function toName({ type, version }: Pick<EventDefinition, 'type' | 'version'>): string {
  return `${type}:${version}`;
}

/**
 * The definition of one version of a type, or null for one that this release does not know, be it newer or older. All
 * types of `app.` have one in common.
 */
export function findEventDefinition(type: string, version: number): EventDefinition | null {
  if (isAppType(type)) return version === appNotification.version ? appNotification : null;
  return byName.get(toName({ type, version })) ?? null;
}
