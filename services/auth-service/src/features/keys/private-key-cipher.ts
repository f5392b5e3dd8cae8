import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** 96 bits, as NIST SP 800-38D recommends for GCM; random is safe for far more keys than there will ever be. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts a private key at rest with AES-256-GCM: nonce, tag, ciphertext. The kid is authenticated with it. */
export function encryptPrivateKey(key: Buffer, kid: string, plaintext: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(kid));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]);
}

/** @throws Error when the key, the kid or a single bit is another than at encryption */
export function decryptPrivateKey(key: Buffer, kid: string, sealed: Buffer): Buffer {
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const tag = sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(kid))
    .setAuthTag(tag);
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
}
