import { waitFor } from '@infrasignal/testkit';
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface RawFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface FrameOptions {
  readonly opcode?: number;
  readonly isFinal?: boolean;
  /** The three reserved bits, 0 to 7. */
  readonly reserved?: number;
  readonly isMasked?: boolean;
  /** Announced instead of the payload's real length. */
  readonly length?: number;
  /** Four bytes; made up if not given. */
  readonly mask?: Uint8Array;
}

/** One client frame of RFC 6455 section 5.2, with whatever a test wants wrong about it. */
export function frame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const { opcode = 1, isFinal = true, reserved = 0, isMasked = true } = options;
  const body = Buffer.from(payload);
  const length = options.length ?? body.length;
  const maskBit = isMasked ? 0x80 : 0;
  const first = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
  let header: Buffer;
  if (length <= 125) {
    header = Buffer.from([first, maskBit | length]);
  } else if (length <= 65_535) {
    header = Buffer.from([first, maskBit | 126, length >> 8, length & 0xff]);
  } else {
    header = Buffer.alloc(10);
    header[0] = first;
    header[1] = maskBit | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  if (!isMasked) return Buffer.concat([header, body]);
  const mask = options.mask ?? randomBytes(4);
  const masked = Buffer.from(body.map((byte, at) => byte ^ mask[at % 4]!));
  return Buffer.concat([header, mask, masked]);
}

/** A client that speaks WebSocket byte by byte, for what no library would send. */
export class RawClient {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #hasUpgraded = false;
  readonly frames: RawFrame[] = [];
  /** The first line of the answer to the handshake. */
  statusLine = '';
  isClosed = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#parse();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Sends the handshake, and `behind` in the same packet. */
  static async open(url: string, token: string, { behind, isV1 = true }: { behind?: Buffer; isV1?: boolean } = {}): Promise<RawClient> {
    const client = new RawClient(Number(new URL(url).port));
    const lines = [
      'GET /ws/notifications/ HTTP/1.1',
      'Host: 127.0.0.1',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      `Authorization: Bearer ${token}`,
      ...(isV1 ? ['Sec-WebSocket-Protocol: infrasignal.v1'] : []),
      '',
      '',
    ];
    client.socket.write(Buffer.concat([Buffer.from(lines.join('\r\n')), behind ?? Buffer.alloc(0)]));
    await waitFor(() => client.statusLine.includes(' 101 '), { intervalMs: 2, description: 'the upgrade' });
    return client;
  }

  /** Messages in text frames, as JSON. */
  get messages(): { type: string }[] {
    return this.frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString('utf8')) as { type: string });
  }

  /** The code of the close frame; null before there is one. */
  get closeCode(): number | null {
    const close = this.frames.find(({ opcode }) => opcode === 8);
    if (close === undefined) return null;
    return close.payload.length >= 2 ? close.payload.readUInt16BE(0) : 1005;
  }

  #parse(): void {
    if (!this.#hasUpgraded) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.statusLine = this.#received.subarray(0, this.#received.indexOf('\r\n')).toString('latin1');
      this.#received = this.#received.subarray(end + 4);
      this.#hasUpgraded = true;
    }
    for (;;) {
      const buffer = this.#received;
      if (buffer.length < 2) return;
      let length = buffer[1]! & 0x7f;
      let offset = 2;
      if (length === 126) {
        if (buffer.length < 4) return;
        length = buffer.readUInt16BE(2);
        offset = 4;
      } else if (length === 127) {
        if (buffer.length < 10) return;
        length = Number(buffer.readBigUInt64BE(2));
        offset = 10;
      }
      if (buffer.length < offset + length) return;
      this.frames.push({ opcode: buffer[0]! & 0x0f, payload: Buffer.from(buffer.subarray(offset, offset + length)) });
      this.#received = buffer.subarray(offset + length);
    }
  }
}
