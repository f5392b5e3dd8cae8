// The catalogue as the next release would have it: a type that this one does not know, and a version that this one does
// not know of a type that it does. Stands in for packages/shared/src/events/event-catalog.ts.
import * as present from '../../../packages/shared/src/events/event-catalog.ts';
import { defineEvent, type EventDefinition } from '../../../packages/shared/src/events/event-envelope.ts';
import { userLogin } from '../../../packages/shared/src/events/user-login.ts';

const additions: readonly EventDefinition[] = [
  defineEvent({ ...userLogin, version: 2 }),
  defineEvent({ ...userLogin, type: 'user.greeted', description: 'Somebody said hello.', inherited: null }),
];

export const eventDefinitions: readonly EventDefinition[] = [...present.eventDefinitions, ...additions];

export function findEventDefinition(type: string, version: number): EventDefinition | null {
  const isIt = (definition: EventDefinition): boolean => definition.type === type && definition.version === version;
  return additions.find(isIt) ?? present.findEventDefinition(type, version);
}
