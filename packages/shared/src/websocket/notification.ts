import { appNotification, type AppNotificationData } from '../events/app-notification.ts';
import type { EventDefinition, EventEnvelope } from '../events/event-envelope.ts';
import type { BroadcastFrame, InheritedNotificationFrame, NotificationFrame } from './frames.ts';

/** What a service sent; null for an event of an account. Its data was checked against the definition's schema. */
function findSent(event: EventEnvelope, definition: EventDefinition | null): AppNotificationData | null {
  return definition === appNotification ? (event.data as AppNotificationData) : null;
}

/** The trace that the event belongs to, if it is known: what support asks for. */
function traceOf({ traceparent }: EventEnvelope): { traceparent?: string } {
  return traceparent === undefined ? {} : { traceparent };
}

/**
 * The inherited form of an event, or null when old clients are not told of it: of an account's events they know two,
 * and a third would reach code that was never written for it. What a service sent is a text to show: that they can.
 *
 * @param userId null for what is for everybody
 */
export function toInheritedNotification(
  userId: number | null,
  event: EventEnvelope,
  definition: EventDefinition | null,
): InheritedNotificationFrame | null {
  const message = findSent(event, definition)?.messages.fr ?? definition?.inherited?.message;
  if (message === undefined) return null;
  const phoneNumber = userId === null ? null : String(event.data.phone_number);
  return { type: event.type, status: 'success', user_id: userId, phone_number: phoneNumber, message };
}

/** The `infrasignal.v1` form of a user's event: the inherited keys where there are any, else `data`, plus its place. */
export function toNotification(
  userId: number,
  event: EventEnvelope,
  definition: EventDefinition | null,
  cursor: string,
): NotificationFrame {
  const place = { id: event.id, seq: event.seq, time: event.time, ...traceOf(event), cursor };
  const inherited = toInheritedNotification(userId, event, definition);
  if (inherited === null) return { type: event.type, user_id: userId, data: event.data, ...place };
  const sent = findSent(event, definition);
  return {
    ...inherited,
    user_id: userId,
    phone_number: String(event.data.phone_number),
    ...(sent === null ? {} : { messages: sent.messages, data: sent.data }),
    ...place,
  };
}

/** The `infrasignal.v1` form of what is for everybody, without its cursor: that is each reader's own. */
export function toBroadcast(event: EventEnvelope, definition: EventDefinition | null): Omit<BroadcastFrame, 'cursor'> {
  const place = { id: event.id, broadcast_seq: event.seq, time: event.time, ...traceOf(event) };
  const inherited = toInheritedNotification(null, event, definition);
  const sent = findSent(event, definition);
  if (inherited === null || sent === null) return { type: event.type, user_id: null, data: event.data, ...place };
  const { messages, data } = sent;
  return { ...inherited, user_id: null, phone_number: null, messages, data, ...place };
}
