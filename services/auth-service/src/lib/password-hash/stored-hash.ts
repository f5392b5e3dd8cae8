/** What made a hash. All but `argon2` are spellings of Django's (`django.contrib.auth.hashers`). */
export type PasswordHashFormat =
  | 'argon2'
  | 'django_argon2'
  | 'pbkdf2_sha256'
  | 'pbkdf2_sha1'
  | 'bcrypt_sha256'
  | 'bcrypt'
  | 'scrypt';

/** Why a stored or imported string is no hash that anybody logs in with. */
export type PasswordHashRefusal =
  /** Empty, or Django's `!…`: the account has no password on purpose. */
  | 'no_password'
  /** Nothing but the password went into it: equal passwords show, and tables of them exist. */
  | 'unsalted'
  /** MD5 or SHA-1 once, DES crypt: a thief of it tries billions of passwords a second. */
  | 'too_weak'
  /** Asks for more memory or time than one login may cost. */
  | 'too_expensive'
  /** A known format with a part that cannot be right. */
  | 'malformed'
  | 'unknown_format';

/** A kind of computation, so that what one hash costs can also be spent where there is none. */
export interface WorkKind {
  /** Equal names are equal computations. Holds no part of anybody's salt or digest. */
  readonly name: string;
  /** True if Django made such hashes: of the text as it was typed, where we hash its NFC. */
  readonly isForeign: boolean;
  /** Computes that much with the password, for nothing. */
  spend(amount: number, password: string): Promise<void>;
}

/** What one check costs. Amounts of one kind add up: twice 100 rounds are 200 rounds. */
export interface Work {
  readonly kind: WorkKind;
  readonly amount: number;
}

/** A hash that was understood and is not too expensive to check. */
export interface StoredHash {
  readonly format: PasswordHashFormat;
  readonly work: Work;
  /** Whether the hash was made of exactly this text. */
  verify(password: string): Promise<boolean>;
  /** False where the format forgets the end of so long a password: right, but not known to be what its owner types. */
  countsWhole(password: string): boolean;
}

export type PasswordHashClass =
  | { readonly isSupported: true; readonly hash: StoredHash }
  | { readonly isSupported: false; readonly reason: PasswordHashRefusal };

export function refused(reason: PasswordHashRefusal): PasswordHashClass {
  return { isSupported: false, reason };
}

export function supported(hash: Omit<StoredHash, 'countsWhole'> & Partial<StoredHash>): PasswordHashClass {
  return { isSupported: true, hash: { countsWhole: () => true, ...hash } };
}

/** Digits without sign, exponent or leading zeros; NaN for any other text. Twenty digits are more than any ceiling. */
export function parseCount(text: string | undefined): number {
  return /^[1-9][0-9]{0,19}$/.test(text ?? '') ? Number(text) : NaN;
}

/** The bytes of canonical base64, with or without its padding; null for any other text. */
export function parseBase64(text: string | undefined, isPadded: boolean): Buffer | null {
  const bytes = Buffer.from(text ?? '', 'base64');
  const canonical = bytes.toString('base64');
  return (isPadded ? canonical : canonical.replace(/=+$/, '')) === text ? bytes : null;
}
