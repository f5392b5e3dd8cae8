import {
  parseEvent,
  type EventDefinition,
  type EventEnvelope,
  type InvalidEventReason,
  type StreamPosition,
} from '@infrasignal/shared';
import type { HubEvent } from '../hub/ports.ts';
import type { StreamMessage } from './stream-message.ts';

/** A message that is an event, before anybody decided in which forms it is sent. */
export interface DecodedEvent {
  /** Null: everybody's. */
  readonly userId: number | null;
  readonly event: EventEnvelope;
  readonly definition: EventDefinition | null;
  readonly position: StreamPosition;
  /** Bytes of the stored message. */
  readonly bytes: number;
}

export type Decoded =
  | { readonly ok: true; readonly event: HubEvent; readonly isKnown: boolean }
  | { readonly ok: false; readonly userId: number | null; readonly reason: InvalidEventReason };

/** Makes what the hub deals in; the edge knows the forms that clients understand. */
export type ToHubEvent = (decoded: DecodedEvent) => HubEvent;

/** Reads stream messages as events. The same message always gives the same answer. */
export class EventDecoder {
  readonly #toHubEvent: ToHubEvent;

  constructor(toHubEvent: ToHubEvent) {
    this.#toHubEvent = toHubEvent;
  }

  decode({ subject, data, sequence }: StreamMessage): Decoded {
    const parsed = parseEvent(subject, data);
    if (!parsed.ok) return parsed;
    const { userId, event, definition } = parsed;
    const position = { sequence, eventId: event.id };
    const hubEvent = this.#toHubEvent({ userId, event, definition, position, bytes: data.byteLength });
    return { ok: true, event: hubEvent, isKnown: definition !== null };
  }
}
