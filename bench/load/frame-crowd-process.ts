/**
 * The clients of a fan-out: raw connections that count the frames which come, and do nothing else, so that they take as
 * little of the machine as they can. Forked by frame-crowd.ts, one order at a time.
 */
import type { Socket } from 'node:net';
import { openRawSocket, type SocketGoal } from './socket-handshake.ts';

/** How every client comes in; each has header lines of its own. */
export type CrowdGoal = Omit<SocketGoal, 'headers'>;

export type CrowdOrder =
  | { readonly kind: 'connect'; readonly goal: CrowdGoal; readonly headers: readonly (readonly string[])[] }
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

/** Counts the frames of one connection, behind its `until`: notifications and greetings have 126 to 65,535 bytes. */
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

async function open(goal: SocketGoal): Promise<void> {
  const { socket, received } = await openRawSocket(goal);
  if (!received.startsWith('HTTP/1.1 101 ')) throw new Error(received.slice(0, 300));
  sockets.push(socket);
  const counter = new FrameCounter();
  socket.on('data', (chunk) => {
    count(counter, chunk);
  });
  socket.on('close', () => {
    if (sockets.includes(socket)) report('a connection was closed');
  });
  const rest = received.slice(received.indexOf(goal.until) + goal.until.length);
  if (rest.length > 0) count(counter, Buffer.from(rest, 'latin1'));
}

function count(counter: FrameCounter, chunk: Buffer): void {
  counter.read(chunk);
  if (frames >= wanted) report();
}

async function openAll(goal: CrowdGoal, headers: readonly (readonly string[])[]): Promise<void> {
  const left = [...headers];
  const work = async (): Promise<void> => {
    for (let own = left.pop(); own !== undefined; own = left.pop()) await open({ ...goal, headers: own });
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, work));
}

process.on('message', (order: CrowdOrder) => {
  if (order.kind === 'connect') {
    openAll(order.goal, order.headers).then(
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
