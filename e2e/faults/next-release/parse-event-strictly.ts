// A decoder that takes what it does not know for invalid. Stands in for packages/shared/src/events/parse-event.ts.
import { parseEvent as parseLeniently, type ParsedEvent } from '../../../packages/shared/src/events/parse-event.ts';

export function parseEvent(subject: string, bytes: Uint8Array): ParsedEvent {
  const parsed = parseLeniently(subject, bytes);
  return parsed.ok && parsed.definition === null ? { ok: false, userId: parsed.userId, reason: 'data' } : parsed;
}
