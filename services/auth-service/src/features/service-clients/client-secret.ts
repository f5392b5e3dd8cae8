import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 bits: not to be guessed, so that a plain hash of it is enough. */
const SECRET_BYTES = 32;

/** Begins with a name of its own, so that scanners find one that leaked into a repository. */
const PREFIX = 'infrasignal_secret_';

export function generateClientSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url');
}

export function hashClientSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Compares without telling by its time how much of the hash fits. */
export function isSecretOf(secretHash: string, secret: string): boolean {
  return timingSafeEqual(Buffer.from(secretHash, 'hex'), Buffer.from(hashClientSecret(secret), 'hex'));
}
