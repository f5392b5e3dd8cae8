import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { hash } from '@node-rs/argon2';
import { classifyPasswordHash } from './password-hash/classify-password-hash.ts';
import { RefusalWork } from './password-hash/refusal-work.ts';
import type { StoredHash, Work, WorkKind } from './password-hash/stored-hash.ts';

export interface PasswordHasher {
  /** Hashes a password that passed the policy; a PHC string. */
  hash(password: string): Promise<string>;
  /** False also for a string that nobody can log in with. Every false takes the same work. */
  verify(passwordHash: string, password: string): Promise<boolean>;
  /** The same, and where a right password has a hash of another kind than today's, makes today's of it. */
  verifyAndRenew(passwordHash: string, password: string): Promise<Verdict>;
  /** The work of a verification that fails: an account that does not exist is as slow as one that does. */
  verifyNothing(password: string): Promise<void>;
}

export interface Verdict {
  readonly isRight: boolean;
  /** To be stored in place of the hash that was checked, if that is still the account's; null: keep it. */
  readonly renewedHash: string | null;
}

/** A hasher that must be told of the other kinds of hashes that accounts have. */
export interface RenewingHasher extends PasswordHasher {
  /** Names anew which kinds of hashes there are, by one hash or more of each; see {@link RefusalWork}. */
  setHashesInUse(passwordHashes: readonly string[]): void;
  /** To be waited for before a refusal is told: 0 to {@link REFUSAL_PAUSE_MS_MAX} by chance, 0 if all hashes are today's. */
  pauseAfterRefusal(): Promise<void>;
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

/**
 * The work of refusals is equal, their time to about 1 % while there are hashes of several kinds: the same rounds in two
 * visits to the thread pool, or one hash after another, take up to 1 ms more of 65. Beside a spread of 9 ms that takes a
 * thousand tries of one number to see, and the limits on attempts stop at 100. A shorter pause would need fewer; a
 * longer one keeps people waiting who mistyped. All of one kind, refusals are the same to the microsecond anyway.
 */
const REFUSAL_PAUSE_MS_MAX = 30;

/** The library's number for Argon2id; its enum is `const` and cannot be imported by isolated modules. */
const ARGON2ID = 2;

/** p = 1: logins already run side by side, more lanes per hash would only make them wait for each other. */
const PARALLELISM = 1;

const WRONG: Verdict = { isRight: false, renewedHash: null };

/** NFC: the same word typed on two keyboards is one password (RFC 8265 section 4.2.1). */
export function normalisePassword(password: string): string {
  return password.normalize('NFC');
}

/**
 * The texts that a password may have been hashed as. Ours are made of its NFC; Django's of what was typed when the
 * account was made, perhaps on the keyboard in use today, perhaps on one that composes. How many there are depends on
 * the password alone, never on the account.
 */
function spellingsFor(kind: WorkKind, password: string): string[] {
  const normal = normalisePassword(password);
  return kind.isForeign && password !== normal ? [password, normal] : [normal];
}

async function findSpelling(stored: StoredHash, password: string): Promise<string | null> {
  for (const spelling of spellingsFor(stored.work.kind, password)) {
    if (await stored.verify(spelling)) return spelling;
  }
  return null;
}

async function spend(owed: readonly Work[], password: string): Promise<void> {
  for (const { kind, amount } of owed) {
    for (const spelling of spellingsFor(kind, password)) await kind.spend(amount, spelling);
  }
}

/** @throws Error when the settings ask for more than any stored hash may */
function toOwnWork({ memoryKib, iterations }: HasherCost): Work {
  const parameters = `$argon2id$v=19$m=${memoryKib},t=${iterations},p=${PARALLELISM}`;
  const example = classifyPasswordHash(`${parameters}$${'A'.repeat(22)}$${'A'.repeat(43)}`);
  if (example.isSupported) return example.hash.work;
  throw new Error(`hashes of ${memoryKib} KiB and ${iterations} iterations are refused at login: ${example.reason}`);
}

/**
 * Argon2id (RFC 9106) of the whole password, whatever its length; old hashes and Django's are verified too. One hash is
 * computed at once, so that a machine without the memory for it says so at the start.
 * @throws Error when the cost is above what a login may spend
 */
export async function createPasswordHasher(cost: HasherCost): Promise<RenewingHasher> {
  const own = toOwnWork(cost);
  const refusalWork = new RefusalWork(own);
  const hashToday = (password: string): Promise<string> =>
    hash(normalisePassword(password), {
      algorithm: ARGON2ID,
      memoryCost: cost.memoryKib,
      timeCost: cost.iterations,
      parallelism: PARALLELISM,
    });
  await hashToday('a password that no account has');

  const check = async (passwordHash: string, password: string): Promise<{ stored: StoredHash; as: string } | null> => {
    const read = classifyPasswordHash(passwordHash);
    const stored = read.isSupported ? read.hash : null;
    const as = stored === null ? null : await findSpelling(stored, password);
    if (stored !== null && as !== null) return { stored, as };
    await spend(refusalWork.remainderAfter(stored?.work ?? null), password);
    return null;
  };

  return {
    hash: hashToday,
    verify: async (passwordHash, password) => (await check(passwordHash, password)) !== null,
    verifyAndRenew: async (passwordHash, password) => {
      const found = await check(passwordHash, password);
      if (found === null) return WRONG;
      const isToday = found.stored.work.kind.name === own.kind.name;
      // What a format has cut off cannot be known to be right: a slip there would become the password.
      const isRenewed = !isToday && found.stored.countsWhole(found.as);
      return { isRight: true, renewedHash: isRenewed ? await hashToday(password) : null };
    },
    verifyNothing: (password) => spend(refusalWork.remainderAfter(null), password),
    setHashesInUse: (passwordHashes) => refusalWork.setInUse(passwordHashes),
    pauseAfterRefusal: async () => {
      if (refusalWork.isMixed) await sleep(randomInt(REFUSAL_PAUSE_MS_MAX + 1));
    },
  };
}
