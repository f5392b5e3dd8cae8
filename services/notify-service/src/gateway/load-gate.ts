import { ProblemError, toAddressKey } from '@infrasignal/service-kit';
import type { ErrorDefinition } from '@infrasignal/shared';
import { gatewayErrors } from './gateway-errors.ts';
import { TokenBucket } from './token-bucket.ts';

/** Addresses of which anything is remembered, about 200 bytes each. More are counted by the node's own limits alone. */
const ADDRESSES_MAX = 100_000;

/** Addresses with nothing to remember are looked for this often when there is no room. */
const SWEEP_INTERVAL_MS = 1_000;

/**
 * Who is refused for now comes back after a whole number of seconds from this range, at random: sent away together,
 * they must not return together.
 */
const RETRY_AFTER_SECONDS_MIN = 1;
const RETRY_AFTER_SECONDS_MAX = 5;

export interface LoadGateOptions {
  readonly socketsMax: number;
  readonly socketsPerAddressMax: number;
  readonly handshakesPerSecondMax: number;
  readonly handshakesPerAddressPerSecondMax: number;
  readonly eventLoopDelayMsMax: number;
  /** Sockets that this node has. */
  readonly sockets: { readonly size: number };
  readonly eventLoop: { readonly delayMs: number };
  /** Milliseconds that only grow. */
  readonly now: () => number;
}

interface AddressRecord {
  sockets: number;
  readonly handshakes: TokenBucket;
}

/** Whether this node can take one more connection from there at the moment, told before anything is done for it. */
export class LoadGate {
  readonly #options: LoadGateOptions;
  readonly #handshakes: TokenBucket;
  readonly #addresses = new Map<string, AddressRecord>();
  #sweptAtMs = -Infinity;

  constructor(options: LoadGateOptions) {
    this.#options = options;
    this.#handshakes = new TokenBucket(options.handshakesPerSecondMax, options.now);
  }

  /**
   * Call first of all. Counts a handshake.
   * @param address of the client, as `request.ip` tells it
   * @throws ProblemError 429 for what is asked of one address, 503 for what this node cannot do; with `Retry-After`
   */
  check(address: string): void {
    const { eventLoop, eventLoopDelayMsMax, sockets, socketsMax, socketsPerAddressMax } = this.#options;
    const record = this.#recordOf(toAddressKey(address));
    // By address first: what one of them is refused takes nothing from the others.
    if (record !== null) {
      if (!record.handshakes.take()) throw refusal(gatewayErrors.too_many_handshakes);
      if (record.sockets >= socketsPerAddressMax) throw refusal(gatewayErrors.too_many_connections);
    }
    if (sockets.size >= socketsMax) throw refusal(gatewayErrors.node_full);
    if (eventLoop.delayMs > eventLoopDelayMsMax) throw refusal(gatewayErrors.node_overloaded);
    if (!this.#handshakes.take()) throw refusal(gatewayErrors.node_busy);
  }

  /** Counts a connection from there. Call what it returns when the connection is gone. */
  enter(address: string): () => void {
    const record = this.#recordOf(toAddressKey(address));
    if (record === null) return () => undefined;
    record.sockets += 1;
    return () => {
      record.sockets -= 1;
    };
  }

  #recordOf(key: string): AddressRecord | null {
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    if (this.#addresses.size >= ADDRESSES_MAX) this.#sweep();
    if (this.#addresses.size >= ADDRESSES_MAX) return null;
    const { handshakesPerAddressPerSecondMax, now } = this.#options;
    const record = { sockets: 0, handshakes: new TokenBucket(handshakesPerAddressPerSecondMax, now) };
    this.#addresses.set(key, record);
    return record;
  }

  #sweep(): void {
    const nowMs = this.#options.now();
    if (nowMs - this.#sweptAtMs < SWEEP_INTERVAL_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [key, { sockets, handshakes }] of this.#addresses) {
      if (sockets === 0 && handshakes.isFull) this.#addresses.delete(key);
    }
  }
}

function refusal(definition: ErrorDefinition): ProblemError {
  const range = RETRY_AFTER_SECONDS_MAX - RETRY_AFTER_SECONDS_MIN + 1;
  const seconds = RETRY_AFTER_SECONDS_MIN + Math.floor(Math.random() * range);
  return new ProblemError(definition, { headers: { 'retry-after': String(seconds) } });
}
