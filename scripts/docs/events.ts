import {
  appNotification,
  broadcastSubject,
  encodeOwnCursor,
  eventDefinitions,
  eventSubject,
  EXAMPLE_USER_ID,
  LATER_VALUES,
  parseEvent,
  toBroadcast,
  toExampleEvent,
  toInheritedNotification,
  toNotification,
  type EventDefinition,
  type EventEnvelope,
} from '../../packages/shared/src/index.ts';
import { code, renderJson, renderTable, replaceSection } from './markdown.ts';

interface Example {
  readonly event: EventEnvelope;
  readonly definition: EventDefinition;
}

/** @throws Error when an event has no example, or one that its schema refuses */
function toExample(definition: EventDefinition, seq: number): Example {
  const event = toExampleEvent(definition, seq);
  const bytes = new TextEncoder().encode(JSON.stringify(event));
  const parsed = parseEvent(eventSubject(EXAMPLE_USER_ID, event.type), bytes);
  if (parsed.ok && parsed.definition !== null) return { event, definition };
  throw new Error(`the example of ${event.type} is one that its schema refuses`);
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
function describeType({ type, description, format, items, anyOf, const: literal }: PropertySchema): string {
  if (description === LATER_VALUES) return '…';
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

function describeInherited(definition: EventDefinition): string {
  if (definition === appNotification) return '`messages.fr`';
  return definition.inherited === null ? '–' : `“${definition.inherited.message}”`;
}

function renderCatalogue(): string {
  const rows = [...eventDefinitions, appNotification].map((definition) => [
    code(definition.type),
    String(definition.version),
    definition.description,
    describeData(definition),
    describeInherited(definition),
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
  const sent = toExample(appNotification, 7);
  const broadcast = toExampleEvent(appNotification, 3, true);
  const broadcastPlace = { sequence: 1210, eventId: broadcast.id };
  const toFrame = ({ event, definition }: Example): unknown => {
    const cursor = encodeOwnCursor(EXAMPLE_USER_ID, event.seq, { sequence: 1200 + event.seq, eventId: event.id });
    return toNotification(EXAMPLE_USER_ID, event, definition, cursor);
  };
  return [
    `The envelope, as it is stored in the stream on ${code(eventSubject(EXAMPLE_USER_ID, login.event.type))}:`,
    renderJson(login.event),
    'The same event on a socket without a subprotocol (the inherited form):',
    renderJson(toInheritedNotification(EXAMPLE_USER_ID, login.event, login.definition)),
    'And under `infrasignal.v1`:',
    renderJson(toFrame(login)),
    'An event without an inherited form carries `data` under `infrasignal.v1`, and is not told without it:',
    renderJson(toFrame(revoked)),
    'What a service sent to a user has its texts and its data:',
    renderJson(toFrame(sent)),
    `What a service sent to everybody, on ${code(broadcastSubject(broadcast.type))}, is told to each as:`,
    renderJson({
      cursor: encodeOwnCursor(EXAMPLE_USER_ID, sent.event.seq, broadcastPlace, broadcast.seq),
      ...toBroadcast(broadcast, appNotification),
    }),
    'and without a subprotocol as:',
    renderJson(toInheritedNotification(null, broadcast, appNotification)),
  ].join('\n\n');
}

/** Fills the generated parts of docs/protocol/events.md; what stands around them is written by hand. */
export function renderEvents(text: string): string {
  const examples = eventDefinitions.map((definition, at) => toExample(definition, at + 1));
  return replaceSection(replaceSection(text, 'catalogue', renderCatalogue()), 'examples', renderExamples(examples));
}
