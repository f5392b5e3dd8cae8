import {
  APP_TYPE_PATTERN,
  appNotification,
  BroadcastFrameSchema,
  eventDefinitions,
  EventEnvelopeSchema,
  EXAMPLE_USER_ID,
  encodeOwnCursor,
  frameDefinitions,
  NotificationFrameSchema,
  SUBPROTOCOL,
  toBroadcast,
  toExampleEvent,
  toNotification,
  type Carrier,
  type EventDefinition,
  type EventEnvelope,
  type FrameDefinition,
} from '@infrasignal/shared';
import { SchemaComponents, type JsonSchema } from './schema-components.ts';

/** As much of an AsyncAPI 3 document as is looked at here. */
export interface AsyncApiDocument {
  readonly asyncapi: string;
  readonly info: JsonSchema;
  readonly channels: Readonly<Record<string, JsonSchema>>;
  readonly operations: Readonly<Record<string, JsonSchema>>;
  readonly components: JsonSchema & { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

interface Message {
  readonly name: string;
  readonly title?: string;
  readonly summary: string;
  readonly payload: JsonSchema;
  readonly examples: readonly { readonly name: string; readonly payload: unknown }[];
}

interface Reference {
  readonly $ref: string;
}

const CURSOR_SCHEMA = {
  type: 'string',
  description: 'The `cursor` of the last frame that was received: what was missed since then comes first.',
};

const CARRIERS = {
  socket: {
    address: '/ws/notifications/',
    title: `WebSocket with the subprotocol ${SUBPROTOCOL}`,
    summary: 'Notifications with cursors, and control frames.',
    server: 'socket',
  },
  'plain-socket': {
    address: '/ws/notifications/',
    title: 'WebSocket without a subprotocol',
    summary: 'The notifications of the original application and nothing else; what a client says is ignored.',
    server: 'socket',
  },
  'event-stream': {
    address: '/sse/notifications/',
    title: 'Server-sent events',
    summary: 'The same for places where WebSocket does not pass. `id:` is the cursor, `event:` the kind of the frame.',
    server: 'eventStream',
  },
} as const satisfies Record<Carrier, { address: string; title: string; summary: string; server: string }>;

/** `ConnectedFrame` → `connectedFrame`, `user.password_changed` → `userPasswordChanged`, `plain-socket` → `plainSocket` */
function toKey(name: string): string {
  const joined = name.replace(/[^A-Za-z0-9]+([A-Za-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
  return joined.charAt(0).toLowerCase() + joined.slice(1);
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function nameOf({ schema }: FrameDefinition): string {
  return String((schema as { $id?: unknown }).$id);
}

/** A kind of event as it is described: one type, or all that services send. */
interface DescribedEvent {
  readonly definition: EventDefinition;
  /** Begins the names of its messages and channels. */
  readonly key: string;
  readonly title: string;
  /** Schema of `type`. */
  readonly type: JsonSchema;
  /** What stands for `type` in the address of a subject, with its parameter if it has one. */
  readonly address: string;
  readonly parameters: Readonly<Record<string, JsonSchema>>;
  readonly isBroadcast: boolean;
  readonly example: EventEnvelope;
}

const USER_ID = { userId: { description: 'The `user_id` of the account; `*` for all.' } };
const APP_NAME = { name: { description: 'What the service calls it, dot-separated; `>` for all.' } };

function describeAppNotification(isBroadcast: boolean): DescribedEvent {
  return {
    definition: appNotification,
    key: isBroadcast ? 'appBroadcast' : 'appNotification',
    title: isBroadcast ? 'app.… for everybody' : 'app.…',
    type: { type: 'string', pattern: APP_TYPE_PATTERN },
    address: `${isBroadcast ? 'broadcasts' : 'users.{userId}'}.app.{name}`,
    parameters: isBroadcast ? APP_NAME : { ...USER_ID, ...APP_NAME },
    isBroadcast,
    example: toExampleEvent(appNotification, eventDefinitions.length + 1, isBroadcast),
  };
}

const DESCRIBED_EVENTS: readonly DescribedEvent[] = [
  ...eventDefinitions.map((definition, at) => ({
    definition,
    key: toKey(definition.type),
    title: definition.type,
    type: { const: definition.type },
    address: `users.{userId}.${definition.type}`,
    parameters: USER_ID,
    isBroadcast: false,
    example: toExampleEvent(definition, at + 1),
  })),
  describeAppNotification(false),
  describeAppNotification(true),
];

/** What is sure of the frame of this kind of event, beyond what all notifications have. */
function notificationConstraints({ definition, type }: DescribedEvent, data: JsonSchema): JsonSchema {
  if (definition === appNotification) return { properties: { type }, required: ['message', 'messages', 'data'] };
  if (definition.inherited === null) return { properties: { type, data }, required: ['data'] };
  const { message } = definition.inherited;
  return { properties: { type, message: { const: message } }, required: ['status', 'phone_number', 'message'] };
}

function toExampleFrame({ definition, example, isBroadcast }: DescribedEvent): unknown {
  const position = { sequence: 1_200 + example.seq, eventId: example.id };
  if (!isBroadcast) {
    const cursor = encodeOwnCursor(EXAMPLE_USER_ID, example.seq, position);
    return toNotification(EXAMPLE_USER_ID, example, definition, cursor);
  }
  const cursor = encodeOwnCursor(EXAMPLE_USER_ID, 1, position, example.seq);
  return { ...toBroadcast(example, definition), cursor };
}

/** Puts the parts of the document together, each message once, whatever refers to it. */
class DocumentBuilder {
  readonly #schemas = new SchemaComponents();
  readonly #messages: Record<string, Message> = {};
  readonly #channels: Record<string, JsonSchema> = {};
  readonly #operations: Record<string, JsonSchema> = {};

  constructor() {
    for (const carrier of Object.keys(CARRIERS) as Carrier[]) this.#addCarrier(carrier);
    for (const event of DESCRIBED_EVENTS) this.#addSubject(event);
  }

  toJson(): Pick<AsyncApiDocument, 'channels' | 'operations' | 'components'> {
    return {
      channels: this.#channels,
      operations: this.#operations,
      components: { messages: this.#messages, schemas: this.#schemas.toJson(), securitySchemes: SECURITY_SCHEMES },
    };
  }

  #addCarrier(carrier: Carrier): void {
    const { address, title, summary, server } = CARRIERS[carrier];
    const channel = toKey(carrier);
    const isOnCarrier = ({ sentOn }: FrameDefinition): boolean => sentOn.includes(carrier);
    const sent = frameDefinitions.filter(isOnCarrier).map((frame) => this.#addFrame(frame));
    if (carrier !== 'plain-socket') sent.push(...DESCRIBED_EVENTS.map((event) => this.#addNotification(event)));
    const isFromClients = ({ isSentByClients }: FrameDefinition): boolean => isSentByClients && carrier === 'socket';
    const received = frameDefinitions.filter(isFromClients).map((frame) => this.#addFrame(frame));
    this.#channels[channel] = {
      address,
      title,
      summary,
      servers: [{ $ref: `#/servers/${server}` }],
      messages: this.#refer([...sent, ...received]),
      ...(server === 'socket' ? { bindings: { ws: socketBinding(carrier === 'socket') } } : {}),
    };
    this.#addOperation(`send${capitalise(channel)}`, 'send', `What the server sends: ${title}.`, channel, sent);
    if (received.length === 0) return;
    this.#addOperation(`receive${capitalise(channel)}`, 'receive', 'What a client may send.', channel, received);
  }

  /** Events as they stand in the stream of the broker, for services of other teams. */
  #addSubject(event: DescribedEvent): void {
    const { definition, key, title, type, address, parameters, example } = event;
    const name = `${key}Event`;
    const channel = `${key}Subject`;
    this.#messages[name] = {
      name,
      title,
      summary: definition.description,
      payload: {
        allOf: [
          this.#schemas.place(EventEnvelopeSchema),
          { type: 'object', properties: { type, data: this.#schemas.place(definition.data) } },
        ],
      },
      examples: [{ name: 'example', payload: example }],
    };
    this.#channels[channel] = {
      address,
      title: `Subject of ${title}`,
      summary: 'At least once, in the order of `seq` for one user. Be idempotent by `id`.',
      servers: [{ $ref: '#/servers/broker' }],
      parameters,
      messages: this.#refer([name]),
    };
    this.#addOperation(`publish${capitalise(key)}`, 'send', definition.description, channel, [name]);
  }

  #addOperation(key: string, action: string, summary: string, channel: string, messages: readonly string[]): void {
    this.#operations[key] = {
      action,
      summary,
      channel: { $ref: `#/channels/${channel}` },
      messages: messages.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` })),
    };
  }

  #addFrame(frame: FrameDefinition): string {
    const name = toKey(nameOf(frame));
    this.#messages[name] ??= {
      name,
      summary: frame.summary,
      payload: this.#schemas.place(frame.schema),
      examples: frame.examples.map((payload, at) => ({ name: `example${at + 1}`, payload })),
    };
    return name;
  }

  /** A known event as a notification: the general form, and what is sure for its kind. */
  #addNotification(event: DescribedEvent): string {
    const { definition, key, title, isBroadcast } = event;
    const name = `${key}Notification`;
    const general = isBroadcast ? BroadcastFrameSchema : NotificationFrameSchema;
    this.#messages[name] ??= {
      name,
      title,
      summary: definition.description,
      payload: {
        allOf: [
          this.#schemas.place(general),
          { type: 'object', ...notificationConstraints(event, this.#schemas.place(definition.data)) },
        ],
      },
      examples: [{ name: 'example', payload: toExampleFrame(event) }],
    };
    return name;
  }

  #refer(names: readonly string[]): Record<string, Reference> {
    return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }]));
  }
}

function socketBinding(isResumable: boolean): JsonSchema {
  const protocol = { type: 'string', description: `\`${SUBPROTOCOL}\`, in a browser with \`, bearer.<access token>\`.` };
  return {
    bindingVersion: '0.1.0',
    method: 'GET',
    ...(isResumable
      ? {
          query: { type: 'object', properties: { after: CURSOR_SCHEMA } },
          headers: { type: 'object', properties: { 'Sec-WebSocket-Protocol': protocol } },
        }
      : {}),
  };
}

const SECURITY_SCHEMES = {
  accessToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'An access token of POST /api/login/, in `Authorization`. Never in the query string.',
  },
};

const HOST = {
  host: '{host}',
  variables: { host: { default: 'localhost:8000', description: 'The origin that clients use.' } },
  security: [{ $ref: '#/components/securitySchemes/accessToken' }],
};

const SERVERS = {
  socket: { ...HOST, protocol: 'ws', description: '`wss` wherever the origin is https.' },
  eventStream: { ...HOST, protocol: 'http', description: 'HTTP/1.1 or newer; `https` wherever the origin is.' },
  broker: {
    host: '{broker}',
    protocol: 'nats',
    variables: { broker: { default: 'localhost:4222', description: 'The broker, inside the network of the services.' } },
    description: 'JetStream, stream `EVENTS`. For services of other teams; no client gets there.',
  },
};

const DESCRIPTION = [
  'Every account event, pushed to whoever may see it: over a socket or as server-sent events for clients, and on the',
  'subjects of a broker for services. One user’s events are in order and gapless (`seq`); a connection that resumes with',
  'its last `cursor` gets each of them once, or is told `recovered: false` with the reason.',
  '',
  'Ignore frames whose `type` you do not know. Close codes 4000–4499: reconnect with the last cursor. 4500–4999: do not.',
].join('\n');

/** The AsyncAPI 3 document of what this service sends and understands, from the schemas that validate. */
export function buildAsyncApiDocument(version: string): AsyncApiDocument & JsonSchema {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'infraSignal, realtime',
      version,
      description: DESCRIPTION,
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    servers: SERVERS,
    ...new DocumentBuilder().toJson(),
  };
}
