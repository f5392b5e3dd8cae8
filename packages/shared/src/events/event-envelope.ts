import { Type, type Static, type TSchema } from 'typebox';
import { EVENT_TYPE_LENGTH_MAX, EVENT_TYPE_PATTERN } from '../subjects.ts';

/** Largest `seq` and stream position that a JavaScript number holds exactly. */
export const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

/** A UUID in lower case: cursors carry it, and there is one spelling of a cursor. */
const EVENT_ID_PATTERN = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

/**
 * CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md)
 * with the extension attribute `seq`: the gapless counter of the user, or of what is sent to everybody, which is the
 * order and the resume cursor.
 */
export const EventEnvelopeSchema = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({ pattern: EVENT_ID_PATTERN, description: 'Unique for ever; also the broker message id.' }),
    source: Type.String({ minLength: 1, maxLength: 256, description: 'The service that committed the event.' }),
    type: Type.String({ pattern: EVENT_TYPE_PATTERN, maxLength: EVENT_TYPE_LENGTH_MAX }),
    subject: Type.String({
      pattern: '^(users/[1-9][0-9]{0,15}|broadcasts)$',
      description: 'Whose event it is: `users/42`, or `broadcasts` for everybody.',
    }),
    time: Type.String({ format: 'date-time', description: 'When it was committed, by the database clock (UTC).' }),
    datacontenttype: Type.Literal('application/json'),
    dataschema: Type.String({
      pattern: '^urn:infrasignal:event:[a-z0-9_.]+:[1-9][0-9]{0,5}$',
      description: 'Names the schema of `data` and its version.',
    }),
    seq: Type.Integer({ minimum: 1, maximum: SEQUENCE_MAX, description: 'Gapless per user, and for everybody, from 1.' }),
    traceparent: Type.Optional(
      Type.String({
        description: 'The trace of the request that caused it (W3C Trace Context; the CloudEvents extension of that name).',
      }),
    ),
    data: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'EventEnvelope', additionalProperties: true },
);

export type EventEnvelope = Static<typeof EventEnvelopeSchema>;

/** What the inherited socket feed says about an event, beside its type and data (section 2 of docs/protocol/events.md). */
export interface InheritedNotification {
  readonly status: 'success';
  readonly message: string;
}

/** One kind of event: its name, the schema of its data, and how old clients are told of it (null: not at all). */
export interface EventDefinition<Data extends TSchema = TSchema> {
  readonly type: string;
  readonly version: number;
  readonly description: string;
  readonly data: Data;
  readonly inherited: InheritedNotification | null;
}

/** Keeps the literal types of a definition; the place to look for what a definition needs. */
export function defineEvent<Data extends TSchema>(definition: EventDefinition<Data>): EventDefinition<Data> {
  return definition;
}

/** `urn:infrasignal:event:user.login:1` */
export function dataSchemaUri(definition: Pick<EventDefinition, 'type' | 'version'>): string {
  return `urn:infrasignal:event:${definition.type}:${definition.version}`;
}
