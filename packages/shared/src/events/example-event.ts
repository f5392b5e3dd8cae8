import { dataSchemaUri, type EventDefinition, type EventEnvelope } from './event-envelope.ts';

/** The account of every example. */
export const EXAMPLE_USER_ID = 42;

/**
 * An event as documents show it: with the first example of its data's schema, and nothing that depends on the moment.
 * @throws Error when the schema of its data has no example
 */
export function toExampleEvent(definition: EventDefinition, seq: number): EventEnvelope {
  const { examples: [data] = [] } = definition.data as { examples?: readonly EventEnvelope['data'][] };
  if (data === undefined) throw new Error(`the schema of ${definition.type} has no example`);
  const digit = seq % 10;
  return {
    specversion: '1.0',
    id: `${digit}f8c3a1e-7c2b-4d6a-9e51-0a2b4c6d8e0f`,
    source: 'urn:infrasignal:auth-service',
    type: definition.type,
    subject: `users/${EXAMPLE_USER_ID}`,
    time: `2026-01-01T12:00:0${digit}.000Z`,
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri(definition),
    seq,
    data,
  };
}
