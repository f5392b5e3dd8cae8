import { createPublicKey } from 'node:crypto';
import type { KeySource } from './access-token-verifier.ts';

export interface JwksKeySourceOptions {
  /** For instance `https://accounts.example.com/.well-known/jwks.json`. */
  readonly url: string;
  /** Milliseconds that only move forward; for tests. */
  readonly now?: () => number;
  /** Told of each fetch that failed; the keys held so far stay good. */
  readonly onError?: (error: unknown) => void;
}

/** A flood of invented kids costs one fetch a minute; a new key is published much longer before it signs. */
const UNKNOWN_KID_INTERVAL_MS = 60_000;

/** Keys are fetched again this often, so that a withdrawn one is forgotten. */
const REFRESH_INTERVAL_MS = 5 * 60_000;

/** Before the first success there is nothing to lose by asking often. */
const FIRST_FETCH_INTERVAL_MS = 250;

const FETCH_TIMEOUT_MS = 3_000;

/** A set of ten keys is 2 KiB. */
const BODY_BYTES_MAX = 64 * 1024;

function toPem(jwk: unknown): [kid: string, pem: string] | null {
  if (typeof jwk !== 'object' || jwk === null) return null;
  const { kid, kty, crv, x } = jwk as Record<string, unknown>;
  if (typeof kid !== 'string' || kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string') return null;
  const key = createPublicKey({ key: { kty, crv, x }, format: 'jwk' });
  return [kid, key.export({ type: 'spki', format: 'pem' }).toString()];
}

/**
 * The published keys of the auth service (RFC 7517): fetched at start, again every five minutes, and for an unknown
 * `kid` at most once a minute. While the endpoint is away, the keys held so far stay good.
 */
export class JwksKeySource implements KeySource {
  readonly #url: string;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  #keys: ReadonlyMap<string, string> | null = null;
  #fetching: Promise<void> | null = null;
  #unknownKidAskedAt = -Infinity;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: JwksKeySourceOptions) {
    this.#url = options.url;
    this.#now = options.now ?? ((): number => performance.now());
    this.#onError = options.onError ?? ((): void => undefined);
  }

  /** True once the keys were fetched; until then nothing can be verified. */
  get isLoaded(): boolean {
    return this.#keys !== null;
  }

  /** Begins fetching, and fetches again for as long as the source is not closed. */
  start(): void {
    void this.#fetch().finally(() => this.#schedule());
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  find(kid: string): string | null | Promise<string | null> {
    const pem = this.#keys?.get(kid);
    if (pem !== undefined) return pem;
    const now = this.#now();
    if (this.#keys !== null && now - this.#unknownKidAskedAt < UNKNOWN_KID_INTERVAL_MS) return null;
    this.#unknownKidAskedAt = now;
    return this.#fetch().then(() => this.#keys?.get(kid) ?? null);
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const delayMs = this.isLoaded ? REFRESH_INTERVAL_MS : FIRST_FETCH_INTERVAL_MS;
    this.#timer = setTimeout(() => void this.#fetch().finally(() => this.#schedule()), delayMs);
    this.#timer.unref();
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#load()
      .catch((error: unknown) => this.#onError(error))
      .finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  async #load(): Promise<void> {
    const response = await fetch(this.#url, {
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`the key set answered ${response.status}`);
    const text = await response.text();
    if (text.length > BODY_BYTES_MAX) throw new Error('the key set is too large');
    const { keys } = JSON.parse(text) as { keys?: unknown };
    if (!Array.isArray(keys)) throw new Error('the key set has no keys');
    const entries = keys.map(toPem).filter((entry) => entry !== null);
    if (entries.length === 0) throw new Error('the key set has no key that we can use');
    this.#keys = new Map(entries);
  }
}
