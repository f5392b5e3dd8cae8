import { CLOCK_MARGIN_SECONDS } from '@infrasignal/token-verifier';
import { ACCESS_TOKEN_TTL_SECONDS_MAX, ALL_SESSION_REVOCATIONS } from '@infrasignal/shared';
import type { Timers } from '../lib/timers.ts';
import type { OpenEpoch } from './consumer-epoch.ts';
import type { EventDecoder } from './event-decoder.ts';
import { readPast } from './past-reader.ts';
import type { StreamMessage } from './stream-message.ts';

/** How far back a revocation can matter: as long as a token can live that was issued right before it. */
export const REVOCATION_LIFE_MS = (ACCESS_TOKEN_TTL_SECONDS_MAX + CLOCK_MARGIN_SECONDS) * 1_000;

/** Up to which message, and when it is now by the clock that the messages' times are of: the broker's. */
export interface RevocationsWanted {
  /** The newest end of a session that the stream's leader has; null: there is none. */
  readonly newest: StreamMessage | null;
  /** In milliseconds since 1970. A node that is a day ahead would find that nobody's session ended lately. */
  readonly brokerTimeMs: number;
}

/**
 * Reads the sessions that ended while a token of them can still be alive.
 *
 * @param onEnded called for each of them
 * @throws Error when not all of them could be read: a node that does not know them must let nobody in
 */
export async function loadRevocations(
  openEpoch: OpenEpoch,
  decoder: EventDecoder,
  { newest, brokerTimeMs }: RevocationsWanted,
  timers: Timers,
  onEnded: (sessionId: string) => void,
): Promise<void> {
  const fromTimeMs = brokerTimeMs - REVOCATION_LIFE_MS;
  if (newest === null || newest.storedAtMs < fromTimeMs) return;
  const reading = { start: { fromTimeMs }, filter: ALL_SESSION_REVOCATIONS, throughSequence: newest.sequence };
  await readPast(openEpoch, reading, timers, (message) => {
    const decoded = decoder.decode(message);
    if (decoded.ok) for (const sessionId of decoded.event.endedSessions) onEnded(sessionId);
  });
}
