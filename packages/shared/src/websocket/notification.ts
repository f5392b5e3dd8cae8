import type { EventDefinition, EventEnvelope } from '../events/event-envelope.ts';
import type { InheritedNotificationFrame, NotificationFrame } from './frames.ts';

/**
 * The inherited form of an event, or null when old clients are not told of it: they know two messages, and a
 * third would reach code that was never written for it.
 */
export function toInheritedNotification(
  userId: number,
  event: EventEnvelope,
  definition: EventDefinition | null,
): InheritedNotificationFrame | null {
  if (definition?.inherited == null) return null;
  const { status, message } = definition.inherited;
  return {
    type: event.type,
    status,
    user_id: userId,
    phone_number: String(event.data.phone_number),
    message,
  };
}

/** The `infrasignal.v1` form of an event: the inherited keys where there are any, else `data`, plus its place. */
export function toNotification(
  userId: number,
  event: EventEnvelope,
  definition: EventDefinition | null,
  cursor: string,
): NotificationFrame {
  const place = { id: event.id, seq: event.seq, time: event.time, cursor };
  const inherited = toInheritedNotification(userId, event, definition);
  if (inherited !== null) return { ...inherited, ...place };
  return { type: event.type, user_id: userId, data: event.data, ...place };
}
