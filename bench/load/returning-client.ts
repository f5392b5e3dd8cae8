import { nowMs } from '@infrasignal/testkit';
import { connect, type Socket } from 'node:net';
import { toHandshake } from './socket-handshake.ts';

/** As the testkit's client, and with the bounds of a client that wants to be back soon. */
const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 2_000;

/** The head of the answer to a handshake that was accepted. */
const ACCEPTED = 'HTTP/1.1 101 ';

/** Counted over all clients of a process. */
export interface ReturningCounts {
  /** Handshakes that were answered with anything but a socket, by what they were answered with. */
  readonly refusals: Map<string, number>;
  /** Attempts that found nobody listening. */
  unreachable: number;
  /** `connected` with `recovered: false`. */
  unrecovered: number;
}

/**
 * A client of `infrasignal.v1` as the protocol's description wants it: comes back with full-jitter back-off, with its
 * last cursor and its ticket. It keeps of the events no more than what tells whether it got each of them once, so that
 * ten thousand of them take little of the machine.
 */
export class ReturningClient {
  readonly #port: number;
  readonly #token: string;
  readonly #counts: ReturningCounts;
  #cursor: string | null = null;
  #ticket: string | null = null;
  #attempt = 0;
  #socket: Socket | null = null;
  #buffer: Buffer | null = null;
  #head: string | null = '';
  /** The newest `seq` that it has been told of. */
  newestSeq = 0;
  /** Events that came twice, and those in between that never came. */
  repeated = 0;
  missed = 0;
  /** When it last heard `connected` and what it had missed, by `nowMs`; null while it is away. */
  wholeAtMs: number | null = null;
  /** From the publication of each event that came since the last cut, in ms. */
  readonly latenciesMs: number[] = [];

  constructor(port: number, token: string, counts: ReturningCounts) {
    this.#port = port;
    this.#token = token;
    this.#counts = counts;
  }

  start(): void {
    const path = `/ws/notifications/${this.#cursor === null ? '' : `?after=${encodeURIComponent(this.#cursor)}`}`;
    const ticket = this.#ticket === null ? '' : `, ticket.${this.#ticket}`;
    const headers = [
      `Authorization: Bearer ${this.#token}`,
      `Sec-WebSocket-Protocol: infrasignal.v1${ticket}`,
    ];
    const socket = connect(this.#port, '127.0.0.1');
    this.#socket = socket;
    this.#buffer = null;
    this.#head = '';
    socket.on('data', (chunk) => {
      this.#receive(socket, chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') this.#counts.unreachable += 1;
    });
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.wholeAtMs = null;
      this.#comeBackLater();
    });
    socket.write(toHandshake(headers, path));
  }

  #comeBackLater(): void {
    const limitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    setTimeout(() => {
      this.start();
    }, Math.random() * limitMs);
  }

  #receive(socket: Socket, chunk: Buffer): void {
    if (this.#head === null) {
      this.#readFrames(chunk);
      return;
    }
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#head;
    this.#head = null;
    if (head.startsWith(ACCEPTED)) {
      this.#readFrames(Buffer.from(head.slice(end + 4), 'latin1'));
      return;
    }
    const { refusals } = this.#counts;
    const status = head.slice(9, 12);
    refusals.set(status, (refusals.get(status) ?? 0) + 1);
    socket.destroy();
  }

  /** Frames of a server: one text each, not masked, of up to 65,535 bytes. */
  #readFrames(chunk: Buffer): void {
    let data = this.#buffer === null ? chunk : Buffer.concat([this.#buffer, chunk]);
    while (data.length >= 4) {
      const short = data.readUInt8(1);
      const start = short === 126 ? 4 : 2;
      const end = start + (short === 126 ? data.readUInt16BE(2) : short);
      if (data.length < end) break;
      if (data[0] === 0x81) this.#hear(JSON.parse(data.toString('utf8', start, end)) as Record<string, unknown>);
      data = data.subarray(end);
    }
    this.#buffer = data.length === 0 ? null : data;
  }

  #hear(frame: Record<string, unknown>): void {
    const { cursor, recovered, seq, ticket, time, type } = frame;
    if (typeof cursor === 'string') this.#cursor = cursor;
    if (type === 'connected') {
      this.#attempt = 0;
      this.#ticket = typeof ticket === 'string' ? ticket : null;
      // What was missed comes in the same write: whoever reads the greeting has the rest.
      this.wholeAtMs = nowMs();
      if (recovered === false) this.#counts.unrecovered += 1;
    } else if (typeof seq === 'number' && typeof time === 'string') {
      if (seq <= this.newestSeq) this.repeated += 1;
      else this.missed += seq - this.newestSeq - 1;
      this.newestSeq = Math.max(this.newestSeq, seq);
      this.latenciesMs.push(nowMs() - Date.parse(time));
    }
  }
}
