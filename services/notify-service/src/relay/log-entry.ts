import type { Decoded } from './event-decoder.ts';
import type { StreamMessage } from './stream-message.ts';

/** A message of the stream, read and understood: an event, or why it is none. */
export interface LogEntry {
  /** Its position. */
  readonly sequence: number;
  /** Bytes of the stored message. */
  readonly bytes: number;
  /** When the broker stored it, in milliseconds since 1970. */
  readonly storedAtMs: number;
  readonly decoded: Decoded;
}

export function toLogEntry({ sequence, data, storedAtMs }: StreamMessage, decoded: Decoded): LogEntry {
  return { sequence, bytes: data.byteLength, storedAtMs, decoded };
}

/** Whose message it is; null for one that is nobody's. */
export function userOf({ decoded }: LogEntry): number | null {
  return decoded.ok ? decoded.event.userId : decoded.userId;
}
