import type { HubEvent } from '../../src/hub/ports.ts';
import type { LogEntry } from '../../src/relay/log-entry.ts';

/** A message at a position: the event `seq` of a user, or (null) one of theirs that is no event. */
export function entry(sequence: number, userId: number | null, seq: number | null, changes: Partial<LogEntry> = {}): LogEntry {
  const place = { sequence, bytes: 100, storedAtMs: sequence };
  if (seq === null || userId === null) return { ...place, decoded: { ok: false, userId, reason: 'json' }, ...changes };
  const event: HubEvent = {
    userId,
    seq,
    position: { sequence, eventId: `event-${sequence}` },
    bytes: place.bytes,
    committedAtMs: 0,
    endedSessions: [],
    frame: () => null,
  };
  return { ...place, decoded: { ok: true, event, isKnown: true }, ...changes };
}

export function seqsOf(events: readonly HubEvent[]): number[] {
  return events.map(({ seq }) => seq);
}
