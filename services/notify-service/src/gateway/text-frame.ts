import type { Frame } from '../hub/ports.ts';

/** FIN and opcode 1: a whole text message (RFC 6455 section 5.2). */
const FIN_TEXT = 0x81;

/** Payloads up to this length have it in the second byte; up to the next in two more; else in eight more. */
const LENGTH_IN_HEADER_MAX = 125;
const LENGTH_IN_16_BITS_MAX = 65_535;

/**
 * A value as one WebSocket text frame, ready for the wire: unmasked, as a server sends it, and uncompressed. The same
 * bytes go to every socket that gets the notification, so it is serialised and framed once, not once per socket.
 */
export function encodeTextFrame(value: unknown): Frame {
  const text = JSON.stringify(value);
  const length = Buffer.byteLength(text);
  const headerLength = length <= LENGTH_IN_HEADER_MAX ? 2 : length <= LENGTH_IN_16_BITS_MAX ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerLength + length);
  frame[0] = FIN_TEXT;
  if (headerLength === 2) {
    frame[1] = length;
  } else if (headerLength === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(text, headerLength, 'utf8');
  return frame;
}
