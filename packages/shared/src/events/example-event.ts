import { appNotification } from './app-notification.ts';
import { dataSchemaUri, type EventDefinition, type EventEnvelope } from './event-envelope.ts';

/** The account of every example. */
export const EXAMPLE_USER_ID = 42;

/** Types that a service might send, to a user and to everybody: the one definition of all of them names none. */
const EXAMPLE_APP_TYPES = ['app.order_shipped', 'app.maintenance'] as const;

/**
 * An event as documents show it: with an example of its data's schema, and nothing that depends on the moment.
 *
 * @param isBroadcast true for one that is for everybody: the first example whose `user_id` is null
 * @throws Error when the schema of its data has no such example
 */
export function toExampleEvent(definition: EventDefinition, seq: number, isBroadcast = false): EventEnvelope {
  const { examples = [] } = definition.data as { examples?: readonly EventEnvelope['data'][] };
  const data = examples.find(({ user_id: userId }) => (userId === null) === isBroadcast);
  if (data === undefined) throw new Error(`the schema of ${definition.type} has no example`);
  const type = definition === appNotification ? EXAMPLE_APP_TYPES[isBroadcast ? 1 : 0] : definition.type;
  const digit = seq % 10;
  return {
    specversion: '1.0',
    id: `${digit}f8c3a1e-7c2b-4d6a-9e51-0a2b4c6d8e0f`,
    source: 'urn:infrasignal:auth-service',
    type,
    subject: isBroadcast ? 'broadcasts' : `users/${EXAMPLE_USER_ID}`,
    time: `2026-01-01T12:00:0${digit}.000Z`,
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri({ type, version: definition.version }),
    seq,
    data,
  };
}
