import { createPublicKey } from 'node:crypto';
import type { KeySource } from './access-token-verifier.ts';
import { ReferenceClock } from './reference-clock.ts';

/** Until the keys have been fetched once, the endpoint is asked this often: it may be starting right now. */
const FIRST_LOAD_RETRY_MS = 500;

/**
 * Keys are fetched again this often without being asked for, so that a retired key goes. Half of the 10 minutes that
 * auth-service lets its answer be kept.
 */
const REFRESH_INTERVAL_MS = 5 * 60 * 1_000;

/** An unknown `kid` costs at most one fetch a minute: a flood of invented ones must not become a flood on auth-service. */
const UNKNOWN_KID_INTERVAL_MS = 60 * 1_000;

const FETCH_TIMEOUT_MS = 3_000;

/** A key set has a handful of keys of 150 bytes. */
const BODY_BYTES_MAX = 64 * 1_024;
const KEYS_MAX = 100;
const KID_LENGTH_MAX = 128;

/** `Date` tells whole seconds (RFC 9110 section 5.6.7): what it says began up to this long ago. */
const DATE_STEP_MS = 1_000;

export interface JwksKeySourceOptions {
  /** For instance `https://accounts.example.com/.well-known/jwks.json`. */
  readonly url: string;
  /** Told of each fetch that succeeded, with the ids of the keys. */
  readonly onFetched?: (kids: readonly string[]) => void;
  /** Told of each fetch that failed; the keys held so far stay good. */
  readonly onError?: (error: unknown) => void;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

/** The public key of one JWK as PEM, or null if it is none of ours: another algorithm, not for signatures, broken. */
function toKey(jwk: unknown): { kid: string; pem: string } | null {
  if (typeof jwk !== 'object' || jwk === null) return null;
  const { kty, crv, x, kid, use, alg } = jwk as Record<string, unknown>;
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string') return null;
  if (typeof kid !== 'string' || kid === '' || kid.length > KID_LENGTH_MAX) return null;
  if ((use ?? 'sig') !== 'sig' || (alg ?? 'EdDSA') !== 'EdDSA') return null;
  try {
    const key = createPublicKey({ key: { kty, crv, x }, format: 'jwk' });
    return { kid, pem: key.export({ type: 'spki', format: 'pem' }).toString() };
  } catch {
    return null;
  }
}

function readKeySet(body: unknown): Map<string, string> {
  const list = typeof body === 'object' && body !== null && 'keys' in body ? body.keys : null;
  if (!Array.isArray(list) || list.length > KEYS_MAX) throw new Error('the answer is not a key set (RFC 7517 section 5)');
  const keys = new Map<string, string>();
  for (const jwk of list) {
    const key = toKey(jwk);
    if (key !== null) keys.set(key.kid, key.pem);
  }
  return keys;
}

/**
 * The public keys of auth-service (JWKS, RFC 7517), held for as long as the endpoint is away and renewed when a token
 * names a key that is not among them.
 */
export class JwksKeySource implements KeySource {
  readonly #options: JwksKeySourceOptions;
  readonly #now: () => number;
  readonly #clock: ReferenceClock;
  #keys = new Map<string, string>();
  #isLoaded = false;
  #fetching: Promise<void> | null = null;
  #unknownKidFetchedAtMs = -Infinity;
  #timer: NodeJS.Timeout | null = null;
  readonly #stopping = new AbortController();

  constructor(options: JwksKeySourceOptions) {
    this.#options = options;
    this.#now = options.now ?? ((): number => performance.now());
    this.#clock = new ReferenceClock(this.#now);
  }

  /** False until the keys have been fetched once. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /**
   * The time of day of whoever signs, in milliseconds since 1970, as told with the keys: tokens begin and end by it, so
   * that they are judged by it too, whatever the clock of this machine says. Its own until the keys are loaded.
   */
  readonly timeOfDay = (): number => this.#clock.read() ?? Date.now();

  /** Fetches in the background, again and again until it succeeds, then now and then. */
  start(): void {
    void this.#refresh();
  }

  stop(): void {
    this.#stopping.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** The key with this id as PEM (SubjectPublicKeyInfo); null if auth-service does not have it. */
  async find(kid: string): Promise<string | null> {
    const known = this.#keys.get(kid);
    if (known !== undefined) return known;
    await this.#fetchForUnknownKid();
    return this.#keys.get(kid) ?? null;
  }

  async #fetchForUnknownKid(): Promise<void> {
    if (this.#fetching === null) {
      if (this.#now() - this.#unknownKidFetchedAtMs < UNKNOWN_KID_INTERVAL_MS) return;
      this.#unknownKidFetchedAtMs = this.#now();
    }
    await this.#fetchOnce();
  }

  async #refresh(): Promise<void> {
    await this.#fetchOnce();
    if (this.#stopping.signal.aborted) return;
    const delayMs = this.#isLoaded ? REFRESH_INTERVAL_MS : FIRST_LOAD_RETRY_MS;
    this.#timer = setTimeout(() => void this.#refresh(), delayMs);
    this.#timer.unref();
  }

  /** Joins a fetch under way. Never throws: without an answer the keys stay what they are. */
  #fetchOnce(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    const { url, onFetched, onError } = this.#options;
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(FETCH_TIMEOUT_MS), this.#stopping.signal]);
      const askedAtMs = this.#now();
      const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } });
      const answeredAtMs = this.#now();
      if (!response.ok) throw new Error(`the key endpoint answered ${response.status}`);
      const keys = readKeySet(await readJson(response));
      // An empty set would log everybody out at once: more likely a fault over there than a wish.
      if (keys.size === 0) throw new Error('the key set holds no Ed25519 signature key');
      const earliestMs = readDate(response.headers);
      if (earliestMs !== null) {
        this.#clock.learn({ earliestMs, latestMs: earliestMs + DATE_STEP_MS, askedAtMs, answeredAtMs });
      }
      this.#keys = keys;
      this.#isLoaded = true;
      onFetched?.([...keys.keys()]);
    } catch (error) {
      if (!this.#stopping.signal.aborted) onError?.(error);
    }
  }
}

/** When the answer was made, and how long a cache on the way has kept it (RFC 9110 section 6.6.1, RFC 9111 section 5.1). */
function readDate(headers: Headers): number | null {
  const dateMs = Date.parse(headers.get('date') ?? '');
  const ageSeconds = Number(headers.get('age') ?? 0);
  return Number.isFinite(dateMs) && ageSeconds >= 0 ? dateMs + ageSeconds * 1_000 : null;
}

async function readJson(response: Response): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).byteLength;
    if (bytes > BODY_BYTES_MAX) throw new Error('the answer is too large for a key set');
    chunks.push(chunk as Uint8Array);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
