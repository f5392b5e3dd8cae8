import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { NotificationTextsSchema } from '../events/app-notification.ts';
import { SEQUENCE_MAX } from '../events/event-envelope.ts';

/** Our tokens are under 1 KiB; what is longer is not looked at. */
const ACCESS_TOKEN_LENGTH_MAX = 4_096;

const Seq = Type.Integer({ minimum: 0, maximum: SEQUENCE_MAX });

const Ticket = Type.String({
  description:
    'Spares the node a signature check at the next handshake with the same token: offer it as the subprotocol ' +
    '`ticket.<ticket>` beside the token. Worth nothing without that token.',
});

/** Why a resume was not whole. All or nothing: there is no partial recovery. */
export const RecoveryFailureSchema = Type.Union([
  Type.Literal('evicted', { description: 'Events after the cursor are older than the log keeps them.' }),
  Type.Literal('limit', { description: 'More was missed than one resume may replay.' }),
  Type.Literal('unknown_cursor', { description: 'No such place: malformed, of somebody else, or ahead of the log.' }),
]);
export type RecoveryFailure = Static<typeof RecoveryFailureSchema>;

/** As in HTTP's header of that name: who reports a problem can be told what happened, from the request on. */
const Traceparent = Type.String({ description: 'The trace of the request that caused it (W3C Trace Context).' });

/** The first frame. `seq` and `cursor` are where this socket stands: replayed notifications follow after it. */
export const ConnectedFrameSchema = Type.Object(
  {
    type: Type.Literal('connected'),
    user_id: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()], {
      description: 'Null on the feed of everything without an account.',
    }),
    session_id: Type.Union([Type.String(), Type.Null()]),
    seq: Type.Union([Seq, Type.Null()], { description: 'Null on the feed of everything, which has no single seq.' }),
    cursor: Type.String(),
    recovered: Type.Boolean({ description: 'False: events since the given cursor may be missing, see `reason`.' }),
    reason: Type.Optional(RecoveryFailureSchema),
    ping_ms: Type.Integer({ minimum: 1, description: 'The server pings this often, in milliseconds.' }),
    expires_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
      description: 'When the access token of this socket expires (UTC).',
    }),
    ticket: Type.Optional(Ticket),
  },
  { $id: 'ConnectedFrame', additionalProperties: false },
);
export type ConnectedFrame = Static<typeof ConnectedFrameSchema>;

/**
 * The inherited notification, key for key (section 2 of docs/protocol/events.md). What is for everybody is about nobody
 * in particular: then the keys are there, and null.
 */
export const InheritedNotificationSchema = Type.Object(
  {
    type: Type.String(),
    status: Type.Literal('success'),
    user_id: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
    phone_number: Type.Union([Type.String(), Type.Null()]),
    message: Type.String(),
  },
  { $id: 'InheritedNotification', additionalProperties: false },
);
export type InheritedNotificationFrame = Static<typeof InheritedNotificationSchema>;

/**
 * A notification under `infrasignal.v1`. Events without an inherited form carry `data` instead of its keys; what a
 * service sent (`app.…`) has both, and its texts in `messages`.
 */
export const NotificationFrameSchema = Type.Object(
  {
    type: Type.String({ description: 'Always contains a dot; control frames never do.' }),
    user_id: Type.Integer({ minimum: 1 }),
    status: Type.Optional(Type.Literal('success')),
    phone_number: Type.Optional(Type.String()),
    message: Type.Optional(Type.String({ description: 'French, as the inherited contract has it.' })),
    messages: Type.Optional(NotificationTextsSchema),
    data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    id: Type.String({ format: 'uuid' }),
    seq: Type.Integer({ minimum: 1, maximum: SEQUENCE_MAX }),
    time: Type.String({ format: 'date-time' }),
    traceparent: Type.Optional(Traceparent),
    cursor: Type.String(),
  },
  { $id: 'NotificationFrame', additionalProperties: false },
);
export type NotificationFrame = Static<typeof NotificationFrameSchema>;

/** A notification for everybody. It is numbered in a log of its own, so it has no `seq` of the user's. */
export const BroadcastFrameSchema = Type.Object(
  {
    type: Type.String({ description: 'Always contains a dot; control frames never do.' }),
    user_id: Type.Null({ description: 'Everybody.' }),
    status: Type.Optional(Type.Literal('success')),
    phone_number: Type.Optional(Type.Null()),
    message: Type.Optional(Type.String({ description: 'French, as the inherited contract has it.' })),
    messages: Type.Optional(NotificationTextsSchema),
    data: Type.Record(Type.String(), Type.Unknown()),
    id: Type.String({ format: 'uuid' }),
    broadcast_seq: Type.Integer({ minimum: 1, maximum: SEQUENCE_MAX, description: 'Gapless, from 1, the same for all.' }),
    time: Type.String({ format: 'date-time' }),
    traceparent: Type.Optional(Traceparent),
    cursor: Type.String(),
  },
  { $id: 'BroadcastFrame', additionalProperties: false },
);
export type BroadcastFrame = Static<typeof BroadcastFrameSchema>;

/** Somebody came or went; only for holders of the scope `presence:read`. Not part of what a cursor resumes. */
export const PresenceFrameSchema = Type.Object(
  {
    type: Type.Union([Type.Literal('user.online'), Type.Literal('user.offline')]),
    user_id: Type.Integer({ minimum: 1 }),
    id: Type.String({ format: 'uuid' }),
    time: Type.String({ format: 'date-time' }),
  },
  { $id: 'PresenceFrame', additionalProperties: false },
);

export const PingFrameSchema = Type.Object({ type: Type.Literal('ping') }, { $id: 'PingFrame' });
export const PongFrameSchema = Type.Object({ type: Type.Literal('pong') }, { $id: 'PongFrame' });

/** Sent before a node closes for a restart: reconnect at a random moment within `window_ms`. */
export const ReconnectFrameSchema = Type.Object(
  { type: Type.Literal('reconnect'), window_ms: Type.Integer({ minimum: 0 }) },
  { $id: 'ReconnectFrame', additionalProperties: false },
);

/** Sent 30 s before the access token of this socket expires: answer with `auth`, or be closed with 4401. */
export const TokenExpiringFrameSchema = Type.Object(
  { type: Type.Literal('token_expiring'), expires_at: Type.String({ format: 'date-time' }) },
  { $id: 'TokenExpiringFrame', additionalProperties: false },
);

/** The answer to an `auth` that was accepted: the socket goes on, and until when. */
export const AuthenticatedFrameSchema = Type.Object(
  {
    type: Type.Literal('authenticated'),
    expires_at: Type.String({ format: 'date-time' }),
    ticket: Type.Optional(Ticket),
  },
  { $id: 'AuthenticatedFrame', additionalProperties: false },
);
export type AuthenticatedFrame = Static<typeof AuthenticatedFrameSchema>;

/** What an `error` frame can say. More may be added: a client goes by `retryable` where it does not know the code. */
export const SocketErrorCodeSchema = Type.Union([
  Type.Literal('invalid_token', { description: 'The token of `auth` is malformed, expired or not ours.' }),
  Type.Literal('identity_mismatch', {
    description: 'The token of `auth` is of another user or session than the socket. Open another socket for it.',
  }),
  Type.Literal('too_many_renewals', { description: '`auth` came too often; this one was not looked at.' }),
  Type.Literal('service_unavailable', { description: 'The token of `auth` could not be checked at the moment.' }),
  Type.Literal('too_many_messages', { description: 'More messages in a second than a client may send. 4429 follows.' }),
  Type.Literal('too_many_sockets', {
    description: 'The user opened more sockets than one may have; this one, the oldest, is closed. 4502 follows.',
  }),
]);
export type SocketErrorCode = Static<typeof SocketErrorCodeSchema>;

/** Something was not done. `retryable`: the same message may succeed later, or with a better token. */
export const ErrorFrameSchema = Type.Object(
  { type: Type.Literal('error'), code: SocketErrorCodeSchema, retryable: Type.Boolean() },
  { $id: 'ErrorFrame', additionalProperties: false },
);
export type ErrorFrame = Static<typeof ErrorFrameSchema>;

/** A fresh access token of the same user and session, for a socket that is to go on. */
export const AuthFrameSchema = Type.Object(
  { type: Type.Literal('auth'), access: Type.String({ minLength: 1, maxLength: ACCESS_TOKEN_LENGTH_MAX }) },
  { $id: 'AuthFrame', additionalProperties: false },
);

/** What a client may send. */
export const ClientFrameSchema = Type.Union([PingFrameSchema, PongFrameSchema, AuthFrameSchema]);
export type ClientFrame = Static<typeof ClientFrameSchema>;

const clientFrameValidator = Compile(ClientFrameSchema);

/** Reads a text frame of a client; null when it is not JSON or not a frame that clients may send. */
export function parseClientFrame(text: string): ClientFrame | null {
  try {
    const value: unknown = JSON.parse(text);
    return clientFrameValidator.Check(value) ? value : null;
  } catch {
    return null;
  }
}
