import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { PublicJwk } from '../../db/schema/index.ts';
import type { NewKey } from './keys-repository.ts';
import { decryptPrivateKey, encryptPrivateKey } from './private-key-cipher.ts';

/** RFC 7638: the members in lexical order, no white space. */
function thumbprint({ crv, kty, x }: PublicJwk): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

/** A new Ed25519 key, its private part encrypted for the database. */
export function generateSigningKey(encryptionKey: Buffer): NewKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  const publicJwk: PublicJwk = { kty: 'OKP', crv: 'Ed25519', x };
  const kid = thumbprint(publicJwk);
  const plaintext = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { kid, publicJwk, privateKeyEncrypted: encryptPrivateKey(encryptionKey, kid, plaintext) };
}

/** SPKI in PEM, as verifiers want it. */
export function toPublicPem(publicJwk: PublicJwk): string {
  return createPublicKey({ key: { ...publicJwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString();
}

export interface OpenedKey {
  /** PKCS#8 in PEM. */
  readonly privatePem: string;
  /** True when a former SECRET_KEY opened it: it should be encrypted anew. */
  readonly isUnderFormerSecret: boolean;
}

/** Decrypts a private key with the first of several keys that fits; null when none does. */
export function openSigningKey(
  { kid, privateKeyEncrypted }: Pick<NewKey, 'kid' | 'privateKeyEncrypted'>,
  encryptionKeys: readonly Buffer[],
): OpenedKey | null {
  for (const [at, encryptionKey] of encryptionKeys.entries()) {
    try {
      const der = decryptPrivateKey(encryptionKey, kid, privateKeyEncrypted);
      const key = createPrivateKey({ key: der, type: 'pkcs8', format: 'der' });
      return { privatePem: key.export({ type: 'pkcs8', format: 'pem' }).toString(), isUnderFormerSecret: at > 0 };
    } catch {
      continue;
    }
  }
  return null;
}

/** Encrypts an opened key anew. */
export function sealSigningKey(encryptionKey: Buffer, kid: string, privatePem: string): Buffer {
  const der = createPrivateKey(privatePem).export({ type: 'pkcs8', format: 'der' });
  return encryptPrivateKey(encryptionKey, kid, der);
}
