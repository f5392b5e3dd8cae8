import { ACCESS_TOKEN_TYP } from '@infrasignal/shared';
import { ConfigurationError } from '@infrasignal/service-kit';
import { createSigner } from 'fast-jwt';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { PublicJwk } from '../../db/schema/index.ts';
import { deriveKey } from '../../lib/derived-key.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { ensureSigningKey, findKeys, type NewKey, type StoredKey } from './keys-repository.ts';
import { decryptPrivateKey, encryptPrivateKey } from './private-key-cipher.ts';

export interface KeyOptions {
  readonly db: Database;
  readonly secretKey: string;
  readonly issuer: string;
  readonly audience: string;
}

/** What everybody may know of a key (RFC 7517). */
export interface PublishedKey extends PublicJwk {
  readonly kid: string;
  readonly alg: 'EdDSA';
  readonly use: 'sig';
}

type Sign = (claims: Record<string, unknown>) => string;

const PURPOSE = 'signing keys at rest v1';

/** RFC 7638: the members in lexical order, no white space. */
function thumbprint({ crv, kty, x }: PublicJwk): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

function toPem(publicJwk: PublicJwk): string {
  return createPublicKey({ key: { ...publicJwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString();
}

function generateKey(encryptionKey: Buffer): NewKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const publicJwk: PublicJwk = { kty: 'OKP', crv: 'Ed25519', x };
  const kid = thumbprint(publicJwk);
  const plaintext = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { kid, publicJwk, privateKeyEncrypted: encryptPrivateKey(encryptionKey, kid, plaintext) };
}

/** The signing keys of the service: made once for all instances, held in memory, published as a JWKS. */
export class KeyRing {
  readonly #options: KeyOptions;
  readonly #encryptionKey: Buffer;
  #sign: Sign | null = null;
  #keys: readonly StoredKey[] = [];
  #publicPems: ReadonlyMap<string, string> = new Map();

  private constructor(options: KeyOptions) {
    this.#options = options;
    this.#encryptionKey = deriveKey(options.secretKey, PURPOSE);
  }

  /** Loads the keys; makes the first one if there is none. @throws ConfigurationError when SECRET_KEY is another */
  static async load(options: KeyOptions): Promise<KeyRing> {
    const ring = new KeyRing(options);
    await ensureSigningKey(options.db, () => generateKey(ring.#encryptionKey));
    ring.#keys = await findKeys(options.db);
    ring.#publicPems = new Map(ring.#keys.map(({ kid, publicJwk }) => [kid, toPem(publicJwk)]));
    const signing = ring.#keys.find((key) => key.retiredAt === null);
    if (signing === undefined) throw new Error('no signing key although one was just ensured');
    ring.#sign = ring.#createSigner(signing);
    return ring;
  }

  /** Signs claims as an access token with the current key; adds iss, aud, iat and, through `exp`, nothing else. */
  sign(claims: Record<string, unknown>): string {
    if (this.#sign === null) throw new Error('the key ring is not loaded');
    return this.#sign(claims);
  }

  /** PEM of the public key for a `kid`, or null. For verification within this service. */
  findPublicKeyPem(kid: string): string | null {
    return this.#publicPems.get(kid) ?? null;
  }

  /** The keys that verify access tokens which may still be alive, newest first. */
  published(): PublishedKey[] {
    return this.#keys.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, alg: 'EdDSA', use: 'sig' }));
  }

  #createSigner(key: StoredKey): Sign {
    const { issuer, audience } = this.#options;
    let der: Buffer;
    try {
      der = decryptPrivateKey(this.#encryptionKey, key.kid, key.privateKeyEncrypted);
    } catch {
      throw new ConfigurationError([
        'SECRET_KEY is not the one that the signing keys in this database were encrypted with',
      ]);
    }
    const pem = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' }).export({ type: 'pkcs8', format: 'pem' });
    // One signer per key: making one takes nine times as long as signing with it (docs/adr/0006-access-tokens.md).
    return createSigner({
      algorithm: 'EdDSA',
      key: pem.toString(),
      kid: key.kid,
      header: { alg: 'EdDSA', typ: ACCESS_TOKEN_TYP },
      iss: issuer,
      aud: audience,
    });
  }
}
