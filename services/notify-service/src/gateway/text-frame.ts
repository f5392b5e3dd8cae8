import type { Frame } from '../hub/ports.ts';

/** FIN and opcode 1: a whole text message (RFC 6455 section 5.2). */
const FIN_TEXT = 0x81;

/** Payloads up to this length have it in the second byte; up to the next in two more; else in eight more. */
const LENGTH_IN_HEADER_MAX = 125;
const LENGTH_IN_16_BITS_MAX = 65_535;

/** A frame for so many bytes of text, unmasked, as a server sends it, and uncompressed; and where the text goes. */
function allocate(length: number): { frame: Buffer; start: number } {
  const start = length <= LENGTH_IN_HEADER_MAX ? 2 : length <= LENGTH_IN_16_BITS_MAX ? 4 : 10;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = FIN_TEXT;
  if (start === 2) {
    frame[1] = length;
  } else if (start === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  return { frame, start };
}

/**
 * A value as one WebSocket text frame, ready for the wire. The same bytes go to every socket that gets the
 * notification, so it is serialised and framed once, not once per socket.
 */
export function encodeTextFrame(value: unknown): Frame {
  const text = JSON.stringify(value);
  const { frame, start } = allocate(Buffer.byteLength(text));
  frame.write(text, start, 'utf8');
  return frame;
}

/** The text that a frame made here carries, as UTF-8. */
export function textOf(frame: Frame): Uint8Array {
  const lengthCode = frame[1] ?? 0;
  return frame.subarray(lengthCode <= LENGTH_IN_HEADER_MAX ? 2 : lengthCode === 126 ? 4 : 10);
}

/**
 * The same for an object whose cursor is each socket's own, while everything else is serialised once.
 * @param cursor has no character that JSON would escape
 * @param rest the other members as JSON, without the brace that opens the object
 */
export function encodeJoinedTextFrame(cursor: string, rest: Uint8Array): Frame {
  const head = `{"cursor":"${cursor}",`;
  const { frame, start } = allocate(head.length + rest.byteLength);
  frame.write(head, start, 'latin1');
  frame.set(rest, start + head.length);
  return frame;
}
