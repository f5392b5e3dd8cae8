import { hkdfSync } from 'node:crypto';

/** 256 bits: the key size of AES-256 and the full strength of HMAC-SHA-256. */
const KEY_BYTES = 32;

/**
 * A key of its own for each purpose, from the one SECRET_KEY (HKDF-SHA-256, RFC 5869), so that what one purpose
 * leaks says nothing about another.
 * @param purpose a constant in code; changing it makes everything unreadable that was made with it
 */
export function deriveKey(secretKey: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secretKey, 'infrasignal', purpose, KEY_BYTES));
}

/** {@link deriveKey} for each of several secrets: the first makes, all of them recognise. */
export function deriveKeys(secretKeys: readonly [string, ...string[]], purpose: string): [Buffer, ...Buffer[]] {
  const [first, ...others] = secretKeys;
  return [deriveKey(first, purpose), ...others.map((secretKey) => deriveKey(secretKey, purpose))];
}
