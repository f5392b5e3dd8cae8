import { waitFor } from '@infrasignal/local-stack';
import type { Server } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Each look collects the whole heap. */
const LOOK_INTERVAL_MS = 250;

/**
 * What a server in this process was given, and what of it is still held after a full collection. Objects are counted, not
 * bytes: the number is the same on every machine. Bytes are only told.
 */
export class LeftAlive {
  readonly #seen: WeakRef<object>[] = [];
  readonly #collectGarbage: () => void;
  readonly #bytesBefore: number;

  /** Begins to watch: every connection, every request, and every answer. */
  constructor(server: Server) {
    setFlagsFromString('--expose-gc');
    this.#collectGarbage = runInNewContext('gc') as () => void;
    this.#collectGarbage();
    this.#bytesBefore = process.memoryUsage().heapUsed;
    server.on('connection', (socket) => {
      this.watch(socket);
    });
    server.on('request', (request, response) => {
      this.watch(request, response);
    });
    server.on('upgrade', (request) => {
      this.watch(request);
    });
  }

  watch(...objects: readonly object[]): void {
    for (const object of objects) this.#seen.push(new WeakRef(object));
  }

  /**
   * Resolves with how many were watched when no more than so many of them are left.
   * @throws Error after the time, with what is left by kind
   */
  async settle(leftMax: number, timeoutMs = 30_000): Promise<number> {
    let left: string[] = [];
    const isSettled = (): boolean => {
      this.#collectGarbage();
      left = this.#seen.flatMap((reference) => reference.deref()?.constructor.name ?? []);
      return left.length <= leftMax;
    };
    await waitFor(isSettled, { intervalMs: LOOK_INTERVAL_MS, timeoutMs }).catch(() => {
      throw new Error(`${left.length} of ${this.#seen.length} are still held: ${left.slice(0, 100).join()}`);
    });
    return this.#seen.length;
  }

  /** Bytes in use beyond those of the beginning, as of the last look. */
  get grownBytes(): number {
    return process.memoryUsage().heapUsed - this.#bytesBefore;
  }
}
