import type { CloseCode } from '@infrasignal/shared';
import { encodeTextFrame, textOf } from '../../src/gateway/text-frame.ts';
import type { Connection } from '../../src/hub/connection.ts';
import type { Frame, SocketPort } from '../../src/hub/ports.ts';
import type { ReceivedFrame } from './observer.ts';
import type { SimNode } from './sim-node.ts';
import type { Random, VirtualTime } from './virtual-time.ts';

/** RFC 6455 section 7.1.5: no close frame came. */
const ABNORMAL_CLOSURE = 1006;

const PING = { type: 'ping' };

interface Passing {
  readonly frame: ReceivedFrame | null;
  readonly closeCode: number | null;
  readonly bytes: number;
  /** By the time of day. */
  readonly writtenAtMs: number;
}

export interface Peer {
  received(frame: ReceivedFrame, writtenAtMs: number): void;
  /** Nothing more comes. */
  closed(code: number): void;
}

/** A connection between a node and a client: in order, with delay, until it breaks somewhere in between. */
export class SimSocket implements SocketPort {
  readonly node: SimNode;
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #peer: Peer;
  #connection: Connection | null = null;
  /** Written and not yet arrived. */
  #passing: Passing[] = [];
  #lastDueMs = 0;
  #isStuck = false;
  /** The client is not there any more, whatever the node thinks. */
  #isCut = false;
  #isClosing = false;

  constructor(node: SimNode, time: VirtualTime, random: Random, peer: Peer) {
    this.node = node;
    this.#time = time;
    this.#random = random;
    this.#peer = peer;
  }

  set connection(connection: Connection) {
    this.#connection = connection;
  }

  get isStuck(): boolean {
    return this.#isStuck;
  }

  /** The client reads nothing, or goes on reading. */
  set isStuck(isStuck: boolean) {
    this.#isStuck = isStuck;
    for (let at = 0; at < this.#passing.length && !isStuck; at += 1) this.#arriveSoon();
  }

  encode(frame: object): Frame {
    return encodeTextFrame(frame);
  }

  write(frames: readonly Frame[]): void {
    if (this.#isClosing) return;
    for (const frame of frames) {
      const text = Buffer.from(textOf(frame)).toString('utf8');
      this.#carry({ frame: JSON.parse(text) as ReceivedFrame, closeCode: null, bytes: frame.byteLength });
    }
  }

  bufferedBytes(): number {
    return this.#isStuck ? this.#passing.reduce((sum, { bytes }) => sum + bytes, 0) : 0;
  }

  probe(): void {
    this.#carry({ frame: PING, closeCode: null, bytes: 20 });
  }

  close(code: CloseCode): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#carry({ frame: null, closeCode: code.code, bytes: 4 });
  }

  terminate(): void {
    this.#isClosing = true;
    this.#tellNode(ABNORMAL_CLOSURE, 0);
    this.cut(true);
  }

  /** The connection is lost. @param isNoticed the client learns of it, with what had arrived by then */
  cut(isNoticed: boolean): void {
    if (this.#isCut) return;
    this.#isCut = true;
    if (!isNoticed) return;
    this.#time.after(this.#random.between(0, 40), () => {
      this.#peer.closed(ABNORMAL_CLOSURE);
    });
  }

  /** The client says something, which its node hears in a while. */
  say(heard: () => void): void {
    this.#time.after(this.#random.between(0, 8), () => {
      if (!this.#isCut && this.node.isAlive) heard();
    });
  }

  /** The node sees that the connection is gone. */
  breakAtNode(): void {
    this.#isClosing = true;
    this.#tellNode(ABNORMAL_CLOSURE, this.#random.between(0, 50));
  }

  #carry(item: Omit<Passing, 'writtenAtMs'>): void {
    if (this.#isCut) return;
    this.#passing.push({ ...item, writtenAtMs: this.#time.timeOfDayMs });
    if (!this.#isStuck) this.#arriveSoon();
  }

  #arriveSoon(): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, this.#time.nowMs + this.#random.between(0, 8));
    this.#time.after(this.#lastDueMs - this.#time.nowMs, () => {
      if (!this.#isStuck) this.#arrive();
    });
  }

  #arrive(): void {
    const item = this.#isCut ? undefined : this.#passing.shift();
    if (item === undefined) return;
    const { closeCode, frame, writtenAtMs } = item;
    if (frame === PING) this.#answerPing();
    else if (frame !== null) this.#peer.received(frame, writtenAtMs);
    if (closeCode === null) return;
    this.#isCut = true;
    this.#tellNode(closeCode, this.#random.between(0, 8));
    this.#peer.closed(closeCode);
  }

  #answerPing(): void {
    this.#time.after(this.#random.between(0, 8), () => {
      if (!this.#isCut && this.#connection !== null && this.node.isAlive) this.node.hub.heard(this.#connection);
    });
  }

  #tellNode(code: number, delayMs: number): void {
    this.#time.after(delayMs, () => {
      if (this.node.isAlive && this.#connection !== null) this.node.hub.closed(this.#connection, code);
    });
  }
}
