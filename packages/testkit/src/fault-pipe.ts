import type { Socket } from 'node:net';

/** What one direction of a network does to what passes. Nothing of it: everything passes at once. */
export interface NetworkConditions {
  /** Everything arrives this much later. */
  readonly latencyMs?: number;
  /** Up to this much later again, chosen anew for each chunk; TCP keeps the order, so a late one holds up the next. */
  readonly jitterMs?: number;
  /** The share of chunks that are lost once, and sent again by TCP {@link RETRANSMISSION_MS} later. */
  readonly lossShare?: number;
  readonly bytesPerSecond?: number;
  /** Everything arrives in slices of at most so many bytes, each written by itself. */
  readonly sliceBytes?: number;
  /** Nothing passes, not even the end of a connection, until this is over; then everything does. */
  readonly isBlackHole?: boolean;
}

/** Linux waits no less for an acknowledgement before it sends again. */
const RETRANSMISSION_MS = 200;

/**
 * What may be on the way in one direction of one connection; then the sender has to wait, as it would for a network.
 * Less: high latencies would limit the bandwidth to less than what the services send under load. More: a sender would
 * believe that what waits here has arrived, which kernels let it believe of about as much.
 */
const ON_THE_WAY_BYTES_MAX = 256 * 1024;

/** With a bandwidth: a slice that takes longer than this would arrive as a burst. */
const SLICE_MS_MAX = 20;

export type Ending = 'destroy' | 'reset';

const resetting = new WeakSet<Socket>();

/**
 * Closes a socket at once. Node (20.20) cannot reset one whose end is still on its way, nor close one that it is about
 * to reset, and would leave either open for ever: the first is closed without a reset, the second left alone.
 */
export function closeSocket(socket: Socket, how: Ending): void {
  if (socket.destroyed || resetting.has(socket)) return;
  if (how === 'destroy' || socket.connecting || socket.writableEnded || socket.writableLength > 0) {
    socket.destroy();
    return;
  }
  resetting.add(socket);
  socket.resetAndDestroy();
}

interface Piece {
  /** Null: the sender has said that it has said everything. */
  bytes: Buffer | null;
  readonly dueAt: number;
}

export interface FaultPipeOptions {
  readonly source: Socket;
  readonly sink: Socket;
  readonly conditions: NetworkConditions;
  readonly random: () => number;
  /** Asked once for each chunk; false: it is dropped. */
  readonly filter: (chunk: Buffer) => boolean;
}

/** One direction of one connection through a network with faults. Reads no more than the other side takes. */
export class FaultPipe {
  readonly #options: FaultPipeOptions;
  #conditions: NetworkConditions;
  readonly #queue: Piece[] = [];
  #queuedBytes = 0;
  #lastDueAt = 0;
  /** When the bandwidth allows the next slice. */
  #freeAt = 0;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #isSinkFull = false;
  /** How the source ended while nothing could be told to the sink. */
  #untold: Ending | null = null;

  constructor(options: FaultPipeOptions) {
    this.#options = options;
    this.#conditions = options.conditions;
    const { source, sink } = options;
    source.on('data', (chunk) => {
      if (options.filter(chunk)) this.#queueUp(chunk);
    });
    source.on('end', () => {
      this.#queueUp(null);
    });
    source.on('close', (hadError) => {
      // An end in order waits in the queue; what is queued before a reset is lost with it, as in a network.
      if (hadError || !source.readableEnded) this.#endSink(hadError ? 'reset' : 'destroy');
    });
    sink.on('drain', () => {
      this.#isSinkFull = false;
      this.#pump();
    });
    sink.on('close', () => {
      this.#cancel();
    });
    this.#updateReading();
  }

  set conditions(conditions: NetworkConditions) {
    this.#conditions = conditions;
    if (this.#untold !== null) this.#endSink(this.#untold);
    this.#updateReading();
    this.#pump();
  }

  #queueUp(bytes: Buffer | null): void {
    const { latencyMs = 0, jitterMs = 0, lossShare = 0 } = this.#conditions;
    const { random } = this.#options;
    const lostMs = lossShare > 0 && random() < lossShare ? RETRANSMISSION_MS : 0;
    const delayMs = latencyMs + (jitterMs > 0 ? random() * jitterMs : 0) + lostMs;
    this.#lastDueAt = Math.max(this.#lastDueAt, performance.now() + delayMs);
    this.#queue.push({ bytes, dueAt: this.#lastDueAt });
    this.#queuedBytes += bytes?.length ?? 0;
    this.#updateReading();
    this.#pump();
  }

  #updateReading(): void {
    const { source } = this.#options;
    if (this.#conditions.isBlackHole === true || this.#queuedBytes >= ON_THE_WAY_BYTES_MAX) source.pause();
    else if (!source.destroyed) source.resume();
  }

  /** Writes what is due, slice by slice, and comes back for the rest. */
  #pump(): void {
    this.#cancel();
    const { sink } = this.#options;
    while (!this.#isSinkFull && this.#conditions.isBlackHole !== true && sink.writable) {
      const piece = this.#queue[0];
      if (piece === undefined) return;
      const waitMs = Math.max(piece.dueAt, this.#freeAt) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => {
          this.#pump();
        }, waitMs);
        return;
      }
      this.#forward(piece);
      if (this.#conditions.sliceBytes === undefined) continue;
      // Slices that are written in one turn would be joined on the way.
      this.#immediate = setImmediate(() => {
        this.#pump();
      });
      return;
    }
  }

  #forward(piece: Piece): void {
    const { sink } = this.#options;
    const { sliceBytes = Infinity, bytesPerSecond = Infinity } = this.#conditions;
    if (piece.bytes === null) {
      this.#queue.shift();
      sink.end();
      return;
    }
    const sizeMax = Math.max(1, Math.min(sliceBytes, (bytesPerSecond * SLICE_MS_MAX) / 1_000));
    const slice = piece.bytes.subarray(0, sizeMax);
    if (slice.length === piece.bytes.length) this.#queue.shift();
    else piece.bytes = piece.bytes.subarray(slice.length);
    this.#freeAt = Math.max(this.#freeAt, performance.now() - SLICE_MS_MAX) + (slice.length / bytesPerSecond) * 1_000;
    this.#queuedBytes -= slice.length;
    this.#isSinkFull = !sink.write(slice);
    this.#updateReading();
  }

  #endSink(how: Ending): void {
    this.#untold = how;
    if (this.#conditions.isBlackHole === true) return;
    closeSocket(this.#options.sink, how);
  }

  #cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
  }
}
