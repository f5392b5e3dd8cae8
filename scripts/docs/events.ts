import {
  dataSchemaUri,
  encodeOwnCursor,
  eventDefinitions,
  eventSubject,
  parseEvent,
  toInheritedNotification,
  toNotification,
  type EventDefinition,
  type EventEnvelope,
} from '../../packages/shared/src/index.ts';
import { code, renderJson, renderTable, replaceSection } from './markdown.ts';

const USER_ID = 42;
const SESSION_ID = '3f0e0b5a-6f0c-4a53-9d0a-0c7d0e5b8f11';

/** One example of each event's data; checked against its schema whenever the documents are made. */
const exampleData: Readonly<Record<string, EventEnvelope['data']>> = {
  'user.registered': { user_id: USER_ID, phone_number: '0123456789' },
  'user.login': { user_id: USER_ID, phone_number: '0123456789' },
  'user.updated': { user_id: USER_ID, changed: ['email'] },
  'user.password_changed': { user_id: USER_ID },
  'user.deleted': { user_id: USER_ID },
  'session.revoked': { user_id: USER_ID, session_ids: [SESSION_ID], reason: 'logout' },
};

interface Example {
  readonly event: EventEnvelope;
  readonly definition: EventDefinition;
}

/** @throws Error when an event has no example, or one that its schema refuses */
function toExample(definition: EventDefinition, seq: number): Example {
  const { type } = definition;
  const event: EventEnvelope = {
    specversion: '1.0',
    id: `${seq}f8c3a1e-7c2b-4d6a-9e51-0a2b4c6d8e0f`,
    source: 'urn:infrasignal:auth-service',
    type,
    subject: `users/${USER_ID}`,
    time: `2026-01-01T12:00:0${seq}.000Z`,
    datacontenttype: 'application/json',
    dataschema: dataSchemaUri(definition),
    seq,
    data: exampleData[type] ?? {},
  };
  const parsed = parseEvent(eventSubject(USER_ID, type), new TextEncoder().encode(JSON.stringify(event)));
  if (parsed.ok && parsed.definition !== null) return { event, definition };
  throw new Error(`scripts/docs/events.ts: the example of ${type} is missing or breaks its schema`);
}

interface PropertySchema {
  readonly type?: string;
  readonly description?: string;
  readonly format?: string;
  readonly const?: unknown;
  readonly items?: PropertySchema;
  readonly anyOf?: readonly PropertySchema[];
}

/** A property's type as people read it: `list of uuid`, `"logout" or "password_changed"`. */
function describeType({ type, format, items, anyOf, const: literal }: PropertySchema): string {
  if (literal !== undefined) return code(JSON.stringify(literal));
  if (anyOf !== undefined) return anyOf.map(describeType).join(', ');
  if (type === 'array') return `list of ${describeType(items ?? {})}`;
  return format ?? type ?? 'anything';
}

function describeData(definition: EventDefinition): string {
  const { properties = {} } = definition.data as { properties?: Record<string, PropertySchema> };
  return Object.entries(properties)
    .map(([name, schema]) => `${code(name)} (${describeType(schema)})`)
    .join('; ');
}

function renderCatalogue(): string {
  const rows = eventDefinitions.map((definition) => [
    code(definition.type),
    String(definition.version),
    definition.description,
    describeData(definition),
    definition.inherited === null ? '–' : `“${definition.inherited.message}”`,
  ]);
  return renderTable(['Type', 'Version', 'When', '`data`', 'Inherited message'], rows);
}

function findExample(examples: readonly Example[], type: string): Example {
  const example = examples.find(({ definition }) => definition.type === type);
  if (example === undefined) throw new Error(`there is no event ${type}`);
  return example;
}

function renderExamples(examples: readonly Example[]): string {
  const login = findExample(examples, 'user.login');
  const revoked = findExample(examples, 'session.revoked');
  const toFrame = ({ event, definition }: Example): unknown => {
    const cursor = encodeOwnCursor(USER_ID, event.seq, { sequence: 1200 + event.seq, eventId: event.id });
    return toNotification(USER_ID, event, definition, cursor);
  };
  return [
    `The envelope, as it is stored in the stream on ${code(eventSubject(USER_ID, login.event.type))}:`,
    renderJson(login.event),
    'The same event on a socket without a subprotocol (the inherited form):',
    renderJson(toInheritedNotification(USER_ID, login.event, login.definition)),
    'And under `infrasignal.v1`:',
    renderJson(toFrame(login)),
    'An event without an inherited form carries `data` under `infrasignal.v1`, and is not told without it:',
    renderJson(toFrame(revoked)),
  ].join('\n\n');
}

/** Fills the generated parts of docs/protocol/events.md; what stands around them is written by hand. */
export function renderEvents(text: string): string {
  const examples = eventDefinitions.map((definition, at) => toExample(definition, at + 1));
  return replaceSection(replaceSection(text, 'catalogue', renderCatalogue()), 'examples', renderExamples(examples));
}
