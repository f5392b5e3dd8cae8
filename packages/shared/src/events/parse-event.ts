import { Compile } from 'typebox/compile';
import { parseEventSubject } from '../subjects.ts';
import { appNotification } from './app-notification.ts';
import { eventDefinitions, findEventDefinition } from './event-catalog.ts';
import { EventEnvelopeSchema, type EventDefinition, type EventEnvelope } from './event-envelope.ts';

const envelopeValidator = Compile(EventEnvelopeSchema);
const dataValidators = new Map(
  [...eventDefinitions, appNotification].map((definition) => [definition, Compile(definition.data)]),
);

/** Why a stored message is not an event: a short, stable word for counters and logs. */
export type InvalidEventReason = 'subject' | 'json' | 'envelope' | 'mismatch' | 'data';

export type ParsedEvent =
  | {
      readonly ok: true;
      /** Null: everybody's. */
      readonly userId: number | null;
      readonly event: EventEnvelope;
      /** Null when this release does not know the type, or this version of it: relay it, do not interpret it. */
      readonly definition: EventDefinition | null;
    }
  | { readonly ok: false; readonly userId: number | null; readonly reason: InvalidEventReason };

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/**
 * Reads one broker message. The rule for what this release does not know (docs/protocol/events.md, section 9): an
 * unknown type, or an unknown version of a known one, is an event all the same (`definition: null`) and is relayed as it
 * is; a message that breaks the envelope, contradicts its own subject, or breaks the schema it names, is invalid and
 * goes to nobody.
 *
 * @param subject the broker subject, `users.<user_id>.<type>` or `broadcasts.<type>`
 * @param bytes the message body: the CloudEvents envelope as UTF-8 JSON
 */
export function parseEvent(subject: string, bytes: Uint8Array): ParsedEvent {
  const address = parseEventSubject(subject);
  if (address === null) return { ok: false, userId: null, reason: 'subject' };
  const { userId, type } = address;
  const event = parseJson(bytes);
  if (event === undefined) return { ok: false, userId, reason: 'json' };
  if (!envelopeValidator.Check(event)) return { ok: false, userId, reason: 'envelope' };
  const owner = userId === null ? 'broadcasts' : `users/${userId}`;
  if (event.type !== type || event.subject !== owner) return { ok: false, userId, reason: 'mismatch' };
  const at = event.dataschema.lastIndexOf(':');
  if (event.dataschema.slice(0, at) !== `urn:infrasignal:event:${type}`) return { ok: false, userId, reason: 'mismatch' };
  if (typeof event.data.user_id === 'number' && event.data.user_id !== userId) {
    return { ok: false, userId, reason: 'mismatch' };
  }
  const version = Number(event.dataschema.slice(at + 1));
  const definition = findEventDefinition(type, version);
  if (definition === null) return { ok: true, userId, event, definition: null };
  if (dataValidators.get(definition)?.Check(event.data) !== true) return { ok: false, userId, reason: 'data' };
  return { ok: true, userId, event, definition };
}
