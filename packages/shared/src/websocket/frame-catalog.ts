import type { TSchema } from 'typebox';
import { appNotification } from '../events/app-notification.ts';
import { EXAMPLE_USER_ID, toExampleEvent } from '../events/example-event.ts';
import { userLogin } from '../events/user-login.ts';
import { closeCodes } from './close-codes.ts';
import { encodeOwnCursor } from './cursor.ts';
import { ClosedFrameSchema } from './event-stream.ts';
import {
  AuthenticatedFrameSchema,
  AuthFrameSchema,
  BroadcastFrameSchema,
  ConnectedFrameSchema,
  ErrorFrameSchema,
  InheritedNotificationSchema,
  NotificationFrameSchema,
  PingFrameSchema,
  PongFrameSchema,
  PresenceFrameSchema,
  ReconnectFrameSchema,
  TokenExpiringFrameSchema,
} from './frames.ts';
import { toBroadcast, toInheritedNotification, toNotification } from './notification.ts';

/** Where frames travel: a socket with `infrasignal.v1`, one without a subprotocol, server-sent events. */
export type Carrier = 'socket' | 'plain-socket' | 'event-stream';

/** One frame of the protocol: what documents and tests go by. */
export interface FrameDefinition {
  readonly schema: TSchema;
  readonly summary: string;
  /** The carriers on which the server sends it. */
  readonly sentOn: readonly Carrier[];
  /** True if a client may send it, on a socket with `infrasignal.v1`. */
  readonly isSentByClients: boolean;
  readonly examples: readonly Readonly<Record<string, unknown>>[];
}

const TIME = '2026-01-01T12:05:00.000Z';
const example = toExampleEvent(userLogin, 2);
const cursor = encodeOwnCursor(EXAMPLE_USER_ID, 2, { sequence: 1202, eventId: example.id });
const broadcast = toExampleEvent(appNotification, 1, true);
const broadcastCursor = encodeOwnCursor(EXAMPLE_USER_ID, 2, { sequence: 1202, eventId: example.id }, 1);
const { code, reason } = closeCodes.sessionRevoked;

const CONNECTED = {
  type: 'connected',
  user_id: EXAMPLE_USER_ID,
  session_id: '3f0e0b5a-6f0c-4a53-9d0a-0c7d0e5b8f11',
  seq: 2,
  cursor,
  ping_ms: 25_000,
  expires_at: TIME,
};

/** Every frame there is. A new one is a schema beside this file and an entry here: documents and tests follow. */
export const frameDefinitions: readonly FrameDefinition[] = [
  {
    schema: ConnectedFrameSchema,
    summary: 'The first frame: who is listening, where the connection stands, and whether anything is missing.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [
      { ...CONNECTED, recovered: true },
      { ...CONNECTED, recovered: false, reason: 'evicted' },
    ],
  },
  {
    schema: NotificationFrameSchema,
    summary: 'A notification: something happened to an account.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [{ ...toNotification(EXAMPLE_USER_ID, example, userLogin, cursor) }],
  },
  {
    schema: BroadcastFrameSchema,
    summary: 'A notification for everybody, numbered in a log of its own.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [{ ...toBroadcast(broadcast, appNotification), cursor: broadcastCursor }],
  },
  {
    schema: InheritedNotificationSchema,
    summary: 'A notification in the form that the original application sent.',
    sentOn: ['plain-socket'],
    isSentByClients: false,
    examples: [
      { ...toInheritedNotification(EXAMPLE_USER_ID, example, userLogin) },
      { ...toInheritedNotification(null, broadcast, appNotification) },
    ],
  },
  {
    schema: PresenceFrameSchema,
    summary: 'A user came online or went offline; for holders of the scope `presence:read`.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [{ type: 'user.online', user_id: EXAMPLE_USER_ID, id: example.id, time: TIME }],
  },
  {
    schema: PingFrameSchema,
    summary: 'Asks for a `pong`. Whoever does not answer the server’s in time is closed with 4009.',
    sentOn: ['socket'],
    isSentByClients: true,
    examples: [{ type: 'ping' }],
  },
  {
    schema: PongFrameSchema,
    summary: 'The answer to a `ping`.',
    sentOn: ['socket'],
    isSentByClients: true,
    examples: [{ type: 'pong' }],
  },
  {
    schema: TokenExpiringFrameSchema,
    summary: 'The access token of this connection expires in 30 s. On a socket it can be renewed with `auth`.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [{ type: 'token_expiring', expires_at: TIME }],
  },
  {
    schema: AuthFrameSchema,
    summary: 'A fresh access token of the same user and session: the socket goes on until it expires.',
    sentOn: [],
    isSentByClients: true,
    examples: [{ type: 'auth', access: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl' }],
  },
  {
    schema: AuthenticatedFrameSchema,
    summary: 'The token of `auth` was accepted.',
    sentOn: ['socket'],
    isSentByClients: false,
    examples: [{ type: 'authenticated', expires_at: TIME }],
  },
  {
    schema: ErrorFrameSchema,
    summary: 'Something was not done; if the connection ends for it, its end follows.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [{ type: 'error', code: 'identity_mismatch', retryable: false }],
  },
  {
    schema: ReconnectFrameSchema,
    summary: 'The node is about to close: reconnect at a random moment within `window_ms`, with the last cursor.',
    sentOn: ['socket', 'event-stream'],
    isSentByClients: false,
    examples: [{ type: 'reconnect', window_ms: 5_000 }],
  },
  {
    schema: ClosedFrameSchema,
    summary: 'The last event of a stream: why it ended.',
    sentOn: ['event-stream'],
    isSentByClients: false,
    examples: [{ type: 'closed', code, reason, reconnect: false }],
  },
];
