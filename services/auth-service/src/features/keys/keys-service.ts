import { ACCESS_TOKEN_ALGORITHM, ACCESS_TOKEN_TYP } from '@infrasignal/shared';
import { ConfigurationError } from '@infrasignal/service-kit';
import type { KeySource } from '@infrasignal/token-verifier';
import { createSigner } from 'fast-jwt';
import type { PublicJwk } from '../../db/schema/index.ts';
import { deriveKeys } from '../../lib/derived-key.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import {
  deleteRetiredKeys,
  findKeys,
  replaceSigningKey,
  updateEncryptedKey,
  type StoredKey,
} from './keys-repository.ts';
import { generateSigningKey, openSigningKey, sealSigningKey, toPublicPem } from './signing-key.ts';

export interface KeyOptions {
  readonly db: Database;
  /** The first encrypts, all decrypt. */
  readonly secretKeys: readonly [string, ...string[]];
  readonly issuer: string;
  readonly audience: string;
  readonly accessTtlSeconds: number;
  /** 0: never by itself. */
  readonly rotationDays: number;
  readonly onError: (error: unknown) => void;
}

/** What everybody may know of a key (RFC 7517). */
export interface PublishedKey extends PublicJwk {
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
}

type Sign = (claims: Record<string, unknown>) => string;

const PURPOSE = 'signing keys at rest v1';

/** How often an instance looks whether another one rotated, and whether it is time. */
const RELOAD_INTERVAL_MS = 5_000;

const UNKNOWN_KID_INTERVAL_MS = 1_000;

/** A retired key is published this much longer than its last token lives, for clocks that differ. */
const RETIREMENT_MARGIN_SECONDS = 300;

const SECONDS_PER_DAY = 86_400;

/** The signing keys of the service: made once for all instances, held in memory, published as a JWKS. */
export class KeyRing implements KeySource {
  readonly #options: KeyOptions;
  readonly #encryptionKeys: readonly [Buffer, ...Buffer[]];
  #signer: { kid: string; sign: Sign } | null = null;
  #keys: readonly StoredKey[] = [];
  #publicPems: ReadonlyMap<string, string> = new Map();
  #timer: NodeJS.Timeout | null = null;
  #reloadedAt = -Infinity;

  private constructor(options: KeyOptions) {
    this.#options = options;
    this.#encryptionKeys = deriveKeys(options.secretKeys, PURPOSE);
  }

  /** Loads the keys; makes the first one if there is none. @throws ConfigurationError when no SECRET_KEY fits */
  static async load(options: KeyOptions): Promise<KeyRing> {
    const ring = new KeyRing(options);
    await replaceSigningKey(options.db, null, () => generateSigningKey(ring.#encryptionKeys[0]));
    await ring.#reload();
    return ring;
  }

  /** Follows rotations made elsewhere and makes those that are due, until `stop`. */
  start(): void {
    this.#timer = setInterval(() => void this.#maintain().catch(this.#options.onError), RELOAD_INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Lets a new key sign from now on. Tokens of the one before verify until they expire. */
  async rotate(): Promise<void> {
    await replaceSigningKey(this.#options.db, 0, () => generateSigningKey(this.#encryptionKeys[0]));
    await this.#reload();
  }

  /** Removes every key but the one that signs: what a thief of them made is refused, and so are good tokens of theirs. */
  async forgetFormer(): Promise<void> {
    await deleteRetiredKeys(this.#options.db, 0);
    await this.#reload();
  }

  /** Signs claims as an access token with the current key; adds `iss` and `aud`. */
  sign(claims: Record<string, unknown>): string {
    if (this.#signer === null) throw new Error('the key ring is not loaded');
    return this.#signer.sign(claims);
  }

  /**
   * PEM of the public key for a `kid`, or null. Another instance may have rotated just now, so an unknown one is looked
   * for in the database, at most once a second under a flood of invented ones.
   */
  async find(kid: string): Promise<string | null> {
    const known = this.#publicPems.get(kid);
    if (known !== undefined) return known;
    if (performance.now() - this.#reloadedAt >= UNKNOWN_KID_INTERVAL_MS) await this.#reload();
    return this.#publicPems.get(kid) ?? null;
  }

  /** The keys that verify access tokens which may still be alive, newest first. */
  published(): PublishedKey[] {
    return this.#keys.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, alg: ACCESS_TOKEN_ALGORITHM, use: 'sig' }));
  }

  async #maintain(): Promise<void> {
    const { db, rotationDays, accessTtlSeconds } = this.#options;
    await this.#reload();
    const signing = this.#keys.find((key) => key.retiredAt === null);
    const maxAgeSeconds = rotationDays * SECONDS_PER_DAY;
    // Of several instances that find it old at once, the statement lets one make a key.
    if (rotationDays > 0 && signing !== undefined && signing.ageSeconds > maxAgeSeconds) {
      await replaceSigningKey(db, maxAgeSeconds, () => generateSigningKey(this.#encryptionKeys[0]));
      await this.#reload();
    }
    if (this.#keys.length > 1) await deleteRetiredKeys(db, accessTtlSeconds + RETIREMENT_MARGIN_SECONDS);
  }

  async #reload(): Promise<void> {
    this.#reloadedAt = performance.now();
    this.#keys = await findKeys(this.#options.db);
    this.#publicPems = new Map(this.#keys.map(({ kid, publicJwk }) => [kid, toPublicPem(publicJwk)]));
    const signing = this.#keys.find((key) => key.retiredAt === null);
    if (signing === undefined) throw new Error('there is no signing key');
    if (signing.kid !== this.#signer?.kid) this.#signer = await this.#createSigner(signing);
  }

  async #createSigner(key: StoredKey): Promise<{ kid: string; sign: Sign }> {
    const { db, issuer, audience } = this.#options;
    const opened = openSigningKey(key, this.#encryptionKeys);
    if (opened === null) {
      throw new ConfigurationError([
        'SECRET_KEY (with SECRET_KEY_FALLBACKS) is not the one that the signing keys in this database are under',
      ]);
    }
    const { privatePem, isUnderFormerSecret } = opened;
    if (isUnderFormerSecret) {
      await updateEncryptedKey(db, key.kid, sealSigningKey(this.#encryptionKeys[0], key.kid, privatePem));
    }
    // One signer per key: making one takes nine times as long as signing with it (docs/adr/0006-access-tokens.md).
    const sign = createSigner({
      algorithm: ACCESS_TOKEN_ALGORITHM,
      key: privatePem,
      kid: key.kid,
      header: { alg: ACCESS_TOKEN_ALGORITHM, typ: ACCESS_TOKEN_TYP },
      iss: issuer,
      aud: audience,
    });
    return { kid: key.kid, sign };
  }
}
