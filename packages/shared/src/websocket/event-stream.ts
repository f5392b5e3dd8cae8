import { Type, type Static } from 'typebox';
import { userOffline, userOnline } from '../events/presence-events.ts';

/**
 * The last event of a stream of server-sent events, which has no close frame: why it ended. `code` and `reason` are
 * those of the socket's close codes.
 */
export const ClosedFrameSchema = Type.Object(
  {
    type: Type.Literal('closed'),
    code: Type.Integer({ minimum: 4000, maximum: 4999, description: 'See docs/close-codes.md.' }),
    reason: Type.String(),
    reconnect: Type.Boolean({ description: 'False: the same attempt would end the same way.' }),
  },
  { $id: 'ClosedFrame', additionalProperties: false },
);
export type ClosedFrame = Static<typeof ClosedFrameSchema>;

/**
 * The name (`event:`) under which a frame comes in a stream of server-sent events. All notifications have one, so that
 * a client listens to those it does not know yet.
 *
 * @param type the `type` of the frame: with a dot it is a notification
 */
export function eventStreamName(type: string): string {
  if (type === userOnline.type || type === userOffline.type) return 'presence';
  return type.includes('.') ? 'notification' : type;
}
