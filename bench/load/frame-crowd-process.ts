/**
 * The clients of a fan-out: raw connections that count the frames which come, and do nothing else, so that they take as
 * little of the machine as they can. Forked by frame-crowd.ts, one order at a time.
 */
import { connect, type Socket } from 'node:net';
import { toHandshake } from './socket-handshake.ts';

export type CrowdOrder =
  | { readonly kind: 'connect'; readonly port: number; readonly headers: readonly (readonly string[])[] }
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'count'; readonly frames: number };

export interface CrowdReport {
  /** What came behind the handshakes, all clients together. */
  readonly bytes: number;
  readonly problem: string | null;
}

/** Handshakes on the way at once. */
const CONNECTING_AT_ONCE = 64;

const sockets: Socket[] = [];
let frames = 0;
let bytes = 0;
/** The count that is waited for. */
let wanted = Infinity;

function report(problem: string | null = null): void {
  wanted = Infinity;
  process.send?.({ bytes, problem } satisfies CrowdReport);
}

/** Counts the frames of one connection. Notifications and greetings have from 126 to 65,535 bytes. */
class FrameCounter {
  /** Bytes of the present frame that are still to come. */
  #missing = 0;
  /** The first bytes of a frame whose length is not known yet. */
  #begun: Buffer | null = null;

  read(chunk: Buffer): void {
    bytes += chunk.length;
    const data = this.#begun === null ? chunk : Buffer.concat([this.#begun, chunk]);
    this.#begun = null;
    let at = this.#missing;
    while (at + 4 <= data.length) {
      if (data[at] !== 0x81 || data[at + 1] !== 126) {
        throw new Error(`no notification: ${data.toString('latin1', at, at + 40)}`);
      }
      at += 4 + data.readUInt16BE(at + 2);
      frames += 1;
    }
    if (at < data.length) this.#begun = data.subarray(at);
    this.#missing = Math.max(0, at - data.length);
  }
}

function open(port: number, headers: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    const counter = new FrameCounter();
    let head: string | null = '';
    socket.on('data', (chunk) => {
      if (head === null) {
        count(counter, chunk);
        return;
      }
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!head.startsWith('HTTP/1.1 101 ')) reject(new Error(head.slice(0, 300)));
      const rest = Buffer.from(head.slice(end + 4), 'latin1');
      head = null;
      resolve();
      if (rest.length > 0) count(counter, rest);
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (sockets.includes(socket)) report('a connection was closed');
    });
    socket.write(toHandshake(headers));
  });
}

function count(counter: FrameCounter, chunk: Buffer): void {
  counter.read(chunk);
  if (frames >= wanted) report();
}

async function openAll(port: number, headers: readonly (readonly string[])[]): Promise<void> {
  const left = [...headers];
  const work = async (): Promise<void> => {
    for (let own = left.pop(); own !== undefined; own = left.pop()) await open(port, own);
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, work));
}

process.on('message', (order: CrowdOrder) => {
  if (order.kind === 'connect') {
    openAll(order.port, order.headers).then(
      () => {
        report();
      },
      (error: unknown) => {
        report(String(error));
      },
    );
  } else if (order.kind === 'disconnect') {
    for (const socket of sockets.splice(0)) socket.destroy();
    [frames, bytes] = [0, 0];
    report();
  } else {
    wanted = order.frames;
    if (frames >= wanted) report();
  }
});
process.once('disconnect', () => process.exit());
