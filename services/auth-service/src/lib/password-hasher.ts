import { hash, verify } from '@node-rs/argon2';

export interface PasswordHasher {
  /** Hashes a password that passed the policy; a PHC string. */
  hash(password: string): Promise<string>;
  /** False also for a string that is no Argon2 hash. */
  verify(passwordHash: string, password: string): Promise<boolean>;
  /** Spends the time of a verification, so that an unknown account is as slow as a known one. */
  verifyNothing(password: string): Promise<void>;
}

export interface HasherCost {
  readonly memoryKib: number;
  readonly iterations: number;
}

/**
 * 1024 code points of raw text: what 256 characters come to at most when each is decomposed (four for a Greek vowel
 * with its marks). Bounds the work before NFC; smaller would refuse what decomposed spellings need.
 */
export const PASSWORD_TEXT_LENGTH_MAX = 1024;

/** The library's number for Argon2id; its enum is `const` and cannot be imported by isolated modules. */
const ARGON2ID = 2;

/** p = 1: logins already run side by side, more lanes per hash would only make them wait for each other. */
const PARALLELISM = 1;

/** NFC: the same word typed on two keyboards is one password (RFC 8265 section 4.2.1). */
export function normalisePassword(password: string): string {
  return password.normalize('NFC');
}

/** Argon2id (RFC 9106) in the library's own thread pool; the whole password counts, whatever its length. */
export async function createPasswordHasher(cost: HasherCost): Promise<PasswordHasher> {
  const options = {
    algorithm: ARGON2ID,
    memoryCost: cost.memoryKib,
    timeCost: cost.iterations,
    parallelism: PARALLELISM,
  };
  const nobody = await hash('a password that no account has', options);
  return {
    hash: (password) => hash(normalisePassword(password), options),
    verify: async (passwordHash, password) => {
      try {
        return await verify(passwordHash, normalisePassword(password));
      } catch {
        return false;
      }
    },
    verifyNothing: async (password) => {
      await verify(nobody, normalisePassword(password));
    },
  };
}
