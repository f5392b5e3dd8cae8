import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { normalisePassword } from '../../lib/password-hasher.ts';

/** One wrong password on many accounts: the signal says how many and since when, never which. */
export interface Spraying {
  readonly accounts: number;
  readonly windowSeconds: number;
}

export interface SprayingDetectorOptions {
  readonly clock: Clock;
  /** On this many accounts one password is no coincidence any more. */
  readonly accountsMin: number;
  readonly onSpraying: (spraying: Spraying) => void;
}

/**
 * One hour. Shorter misses who sprays slowly; longer adds up what different people mistype, and keeps for longer what
 * tells that two failures had the same password.
 */
export const SPRAYING_WINDOW_SECONDS = 3600;

/**
 * 20,000 different wrong passwords, of which each takes a few hundred bytes. Less lets an attacker wash the sprayed
 * one out with noise at little cost; more is memory for nothing: an address is stopped after a few hundred failures.
 */
const PASSWORDS_MAX = 20_000;

/** 64 bits: two of 20,000 passwords are taken for one once in 10^11 hours. */
const TAG_BYTES = 8;

/**
 * Sees one wrong password tried on many accounts, which no count per account or per address shows. It lives in the
 * memory of one instance: a password is known by an HMAC under a random key that is made for each hour, is never
 * stored or sent, and dies with the hour. So there is nothing that could be asked later whether somebody mistyped
 * such-and-such, not even by who has the database and SECRET_KEY.
 */
export class SprayingDetector {
  readonly #options: SprayingDetectorOptions;
  /** The accounts that a wrong password was tried on; null once it was told of. */
  #accountsByPassword = new Map<string, Set<string> | null>();
  #key = randomBytes(32);
  #window = -1;

  constructor(options: SprayingDetectorOptions) {
    this.#options = options;
  }

  /** Notes a failure. @param accountKey whose, of numbers without an account too */
  note(password: string, accountKey: string): void {
    const { accountsMin, onSpraying } = this.#options;
    this.#turnWindow();
    const tag = this.#tagOf(password);
    const known = this.#accountsByPassword.get(tag);
    if (known === null) return;
    const accounts = known ?? this.#begin(tag);
    accounts.add(accountKey);
    if (accounts.size < accountsMin) return;
    this.#accountsByPassword.set(tag, null);
    onSpraying({ accounts: accounts.size, windowSeconds: SPRAYING_WINDOW_SECONDS });
  }

  /** How many passwords are in memory. */
  get size(): number {
    return this.#accountsByPassword.size;
  }

  #turnWindow(): void {
    const window = Math.floor(this.#options.clock() / (SPRAYING_WINDOW_SECONDS * 1000));
    if (window === this.#window) return;
    this.#window = window;
    this.#key = randomBytes(32);
    this.#accountsByPassword = new Map();
  }

  #begin(tag: string): Set<string> {
    const [oldest] = this.#accountsByPassword.keys();
    if (oldest !== undefined && this.#accountsByPassword.size >= PASSWORDS_MAX) this.#accountsByPassword.delete(oldest);
    const accounts = new Set<string>();
    this.#accountsByPassword.set(tag, accounts);
    return accounts;
  }

  #tagOf(password: string): string {
    const digest = createHmac('sha256', this.#key).update(normalisePassword(password)).digest();
    return digest.subarray(0, TAG_BYTES).toString('base64url');
  }
}
