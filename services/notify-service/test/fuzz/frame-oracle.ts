import { isUtf8 } from 'node:buffer';

/**
 * What RFC 6455, docs/protocol/websocket.md and docs/close-codes.md say about a stream of bytes from a client, read from
 * there and not from the code that is tested:
 *
 * | what comes first in the stream | the end |
 * | --- | --- |
 * | a reserved bit or opcode, a frame that is not masked, a control frame in pieces or above 125 bytes, a continuation of nothing, a new message within another (sections 5.1 to 5.5) | 1002 |
 * | a close frame of one byte, or with a code that nobody may send (5.5.1, 7.4) | 1002 |
 * | text, or a reason of a close, that is no UTF-8 (8.1) | 1007 |
 * | more than 16 KiB announced for one message, pieces together | 1009, without waiting for it |
 * | a 65th piece of one message | 1008 |
 * | binary; on `infrasignal.v1` also what is no `ping`, `pong` or `auth` | 4500 |
 * | a close frame with a good code, or without one | the same back |
 * | nothing of that | no close frame; every ping is answered, in order, with what it brought |
 *
 * Where a frame breaks several rules, what is known sooner counts: two bytes, then the length, then what they announce. A
 * length that is not in its shortest form is taken, as the RFC asks senders only.
 */
export interface Expectation {
  /** Of the close frame that ends it; null: there is none. 1005: one without a code. */
  readonly closeCode: number | null;
  /** True if that is for a message that may not be sent, and not for bytes that break RFC 6455 or the peer's own close. */
  readonly isInvalidMessage: boolean;
  /** What the pings of WebSocket before the end brought. */
  readonly pings: readonly Buffer[];
  /** Messages `ping` and `auth` before the end. */
  readonly messagePings: number;
  readonly renewals: number;
  /** What counts for the limit on messages: messages, pings and pongs. */
  readonly counted: number;
  /** True if what came next would be read as the head of a frame. */
  readonly isBetweenFrames: boolean;
}

const MESSAGE_BYTES_MAX = 16_384;
const FRAGMENTS_MAX = 64;
const CONTROL_BYTES_MAX = 125;
const TOKEN_LENGTH_MAX = 4_096;

interface Head {
  readonly opcode: number;
  readonly isFinal: boolean;
  /** All that stands in the second byte about the length: up to 125, or 126 and 127 for what follows. */
  readonly lengthCode: number;
}

type Say = 'ping' | 'auth' | 'pong' | null;

/** Which of the three messages it is; null: none of them. */
function readMessage(bytes: Buffer): Say {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { type, ...others } = value as Record<string, unknown>;
  if (type === 'ping' || type === 'pong') return type;
  const { access, ...unknown } = others;
  const isToken = typeof access === 'string' && access !== '' && access.length <= TOKEN_LENGTH_MAX;
  return type === 'auth' && isToken && Object.keys(unknown).length === 0 ? type : null;
}

/** Section 7.4 and the registry that it opens: what an endpoint may send. */
function isSendable(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
}

/** Reads a stream as a server should. */
class StreamReader {
  readonly #bytes: Buffer;
  readonly #isV1: boolean;
  #at = 0;
  /** The message that is under way. */
  #message: { readonly isText: boolean; readonly parts: Buffer[]; announced: number; fragments: number } | null = null;
  readonly pings: Buffer[] = [];
  messagePings = 0;
  renewals = 0;
  counted = 0;
  closeCode: number | null = null;
  isInvalidMessage = false;
  isBetweenFrames = true;

  constructor(bytes: Buffer, isV1: boolean) {
    this.#bytes = bytes;
    this.#isV1 = isV1;
  }

  /** Reads frames until one ends the connection, or the bytes do. */
  readAll(): void {
    for (;;) {
      this.isBetweenFrames = this.#at === this.#bytes.length;
      if (!this.#readFrame() || this.closeCode !== null) return;
    }
  }

  #take(count: number): Buffer | null {
    if (this.#at + count > this.#bytes.length) return null;
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** False if it is not whole. */
  #readFrame(): boolean {
    const two = this.#take(2);
    if (two === null) return false;
    const [first = 0, second = 0] = two;
    const head: Head = { opcode: first & 0x0f, isFinal: first >= 0x80, lengthCode: second & 0x7f };
    if ((first & 0x70) !== 0 || second < 0x80 || this.#breaksRules(head)) return this.#end(1002);
    const length = this.#readLength(head);
    if (length === null) return false;
    if (head.opcode < 8 && this.#announce(head, length) > MESSAGE_BYTES_MAX) return this.#end(1009);
    const mask = this.#take(4);
    const masked = mask === null ? null : this.#take(length);
    if (mask === null || masked === null) return false;
    const payload = Buffer.from(masked.map((byte, at) => byte ^ mask[at % 4]!));
    if (head.opcode >= 8) this.#control(head, payload);
    else this.#piece(head, payload);
    return true;
  }

  #breaksRules({ opcode, isFinal, lengthCode }: Head): boolean {
    if (opcode >= 8 && opcode <= 10) return !isFinal || lengthCode > CONTROL_BYTES_MAX || (opcode === 8 && lengthCode === 1);
    if (opcode > 2) return true;
    return (opcode === 0) === (this.#message === null);
  }

  #readLength({ lengthCode }: Head): number | null {
    if (lengthCode < 126) return lengthCode;
    const more = this.#take(lengthCode === 126 ? 2 : 8);
    if (more === null) return null;
    return lengthCode === 126 ? more.readUInt16BE(0) : Number(more.readBigUInt64BE(0));
  }

  /** Begins a message or goes on with it. @returns the bytes that are announced for all of it */
  #announce({ opcode }: Head, length: number): number {
    this.#message ??= { isText: opcode === 1, parts: [], announced: 0, fragments: 0 };
    this.#message.announced += length;
    return this.#message.announced;
  }

  #piece({ isFinal }: Head, payload: Buffer): void {
    const message = this.#message!;
    message.parts.push(payload);
    message.fragments += 1;
    if (message.fragments > FRAGMENTS_MAX) this.#end(1008);
    else if (isFinal) this.#whole(message.isText, Buffer.concat(message.parts));
  }

  #whole(isText: boolean, bytes: Buffer): void {
    this.#message = null;
    if (isText && !isUtf8(bytes)) {
      this.#end(1007);
      return;
    }
    this.counted += 1;
    const say = isText && this.#isV1 ? readMessage(bytes) : null;
    if (say === 'ping') this.messagePings += 1;
    if (say === 'auth') this.renewals += 1;
    // Without the subprotocol text is not looked at.
    this.isInvalidMessage = !isText || (this.#isV1 && say === null);
    if (this.isInvalidMessage) this.#end(4500);
  }

  #control({ opcode }: Head, payload: Buffer): void {
    if (opcode !== 8) {
      this.counted += 1;
      if (opcode === 9) this.pings.push(payload);
    } else if (payload.length === 0) {
      this.#end(1005);
    } else {
      const code = payload.readUInt16BE(0);
      this.#end(!isSendable(code) ? 1002 : isUtf8(payload.subarray(2)) ? code : 1007);
    }
  }

  #end(code: number): true {
    this.closeCode = code;
    return true;
  }
}

/** What has to come of these bytes on a socket that nobody else sends anything to. */
export function expectOf({ bytes, isV1 }: { readonly bytes: Buffer; readonly isV1: boolean }): Expectation {
  const reader = new StreamReader(bytes, isV1);
  reader.readAll();
  return reader;
}
