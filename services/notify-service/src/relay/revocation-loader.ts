import { ACCESS_TOKEN_TTL_SECONDS_MAX, ALL_SESSION_REVOCATIONS } from '@infrasignal/shared';
import type { Timers } from '../lib/timers.ts';
import type { OpenEpoch } from './consumer-epoch.ts';
import type { EventDecoder } from './event-decoder.ts';
import { readPast } from './past-reader.ts';
import type { StreamMessage } from './stream-message.ts';

/** What the clocks of the broker, of auth-service and of this node may differ by. */
const CLOCK_MARGIN_SECONDS = 300;

/** How far back a revocation can matter: as long as a token can live that was issued right before it. */
export const REVOCATION_LIFE_MS = (ACCESS_TOKEN_TTL_SECONDS_MAX + CLOCK_MARGIN_SECONDS) * 1_000;

/**
 * Reads the sessions that ended while a token of them can still be alive.
 *
 * @param newest the newest end of a session that the stream's leader has; null: there is none
 * @param onEnded called for each of them
 * @throws Error when not all of them could be read: a node that does not know them must let nobody in
 */
export async function loadRevocations(
  openEpoch: OpenEpoch,
  decoder: EventDecoder,
  newest: StreamMessage | null,
  timers: Timers,
  onEnded: (sessionId: string) => void,
): Promise<void> {
  const fromTimeMs = timers.timeOfDay() - REVOCATION_LIFE_MS;
  if (newest === null || newest.storedAtMs < fromTimeMs) return;
  const reading = { start: { fromTimeMs }, filter: ALL_SESSION_REVOCATIONS, throughSequence: newest.sequence };
  await readPast(openEpoch, reading, timers, (message) => {
    const decoded = decoder.decode(message);
    if (decoded.ok) for (const sessionId of decoded.event.endedSessions) onEnded(sessionId);
  });
}
