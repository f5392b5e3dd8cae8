import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { SEQUENCE_MAX } from '../events/event-envelope.ts';

/** The subprotocol with control frames and cursors. Without it a socket gets the inherited plain notifications. */
export const SUBPROTOCOL = 'infrasignal.v1';

/** A browser cannot set a header on a socket, so its access token rides as a second subprotocol. */
export const BEARER_SUBPROTOCOL_PREFIX = 'bearer.';

const Seq = Type.Integer({ minimum: 0, maximum: SEQUENCE_MAX });

/** Why a resume was not whole. All or nothing: there is no partial recovery. */
export const RecoveryFailureSchema = Type.Union([
  Type.Literal('evicted', { description: 'Events after the cursor are older than the log keeps them.' }),
  Type.Literal('limit', { description: 'More was missed than one resume may replay.' }),
  Type.Literal('unknown_cursor', { description: 'No such place: malformed, of somebody else, or ahead of the log.' }),
]);
export type RecoveryFailure = Static<typeof RecoveryFailureSchema>;

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
  },
  { $id: 'ConnectedFrame', additionalProperties: false },
);
export type ConnectedFrame = Static<typeof ConnectedFrameSchema>;

/** The inherited notification, key for key (section 2 of docs/protocol/events.md). */
export const InheritedNotificationSchema = Type.Object(
  {
    type: Type.String(),
    status: Type.Literal('success'),
    user_id: Type.Integer({ minimum: 1 }),
    phone_number: Type.String(),
    message: Type.String(),
  },
  { $id: 'InheritedNotification', additionalProperties: false },
);
export type InheritedNotificationFrame = Static<typeof InheritedNotificationSchema>;

/** A notification under `infrasignal.v1`. Events without an inherited form carry `data` instead of its keys. */
export const NotificationFrameSchema = Type.Object(
  {
    type: Type.String({ description: 'Always contains a dot; control frames never do.' }),
    user_id: Type.Integer({ minimum: 1 }),
    status: Type.Optional(Type.Literal('success')),
    phone_number: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    id: Type.String({ format: 'uuid' }),
    seq: Type.Integer({ minimum: 1, maximum: SEQUENCE_MAX }),
    time: Type.String({ format: 'date-time' }),
    cursor: Type.String(),
  },
  { $id: 'NotificationFrame', additionalProperties: false },
);
export type NotificationFrame = Static<typeof NotificationFrameSchema>;

export const PingFrameSchema = Type.Object({ type: Type.Literal('ping') }, { $id: 'PingFrame' });
export const PongFrameSchema = Type.Object({ type: Type.Literal('pong') }, { $id: 'PongFrame' });

/** Sent before a node closes for a restart: reconnect at a random moment within `window_ms`. */
export const ReconnectFrameSchema = Type.Object(
  { type: Type.Literal('reconnect'), window_ms: Type.Integer({ minimum: 0 }) },
  { $id: 'ReconnectFrame', additionalProperties: false },
);

export const ErrorFrameSchema = Type.Object(
  { type: Type.Literal('error'), code: Type.String(), retryable: Type.Boolean() },
  { $id: 'ErrorFrame', additionalProperties: false },
);

/** What a client may send. */
export const ClientFrameSchema = Type.Union([PingFrameSchema, PongFrameSchema]);
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
