import { readArgon2 } from './argon2-format.ts';
import { readBcrypt } from './bcrypt-format.ts';
import { readPbkdf2 } from './pbkdf2-format.ts';
import { readScrypt } from './scrypt-format.ts';
import { refused, type PasswordHashClass } from './stored-hash.ts';

/** 512 characters: three times the longest hash within the limits; longer ones are not even looked at. */
const TEXT_LENGTH_MAX = 512;

const WEAK = /^(md5|sha1|crypt)\$/;

/**
 * Django's unsalted hashes: `unsalted_…` or a bare digest in hexadecimal, `md5$$…` and `sha1$$…`, and the others with
 * an empty salt, which Django itself makes none of.
 */
const UNSALTED = /^(unsalted_|[0-9a-f]{32}$|[0-9a-f]{40}$|(md5|sha1)\$\$|pbkdf2_sha(1|256)\$[0-9]+\$\$|scrypt\$[0-9]+\$\$)/;

type Reader = (text: string) => PasswordHashClass;

/** By what stands before the first `$`; a PHC string begins with it. */
const READERS: ReadonlyMap<string | undefined, Reader> = new Map<string, Reader>([
  ['', readArgon2],
  ['argon2', readArgon2],
  ['pbkdf2_sha256', readPbkdf2],
  ['pbkdf2_sha1', readPbkdf2],
  ['bcrypt_sha256', readBcrypt],
  ['bcrypt', readBcrypt],
  ['scrypt', readScrypt],
]);

/**
 * Tells whether somebody can log in with a stored or imported hash, and if not, why. Computes nothing: whatever the
 * text asks for, this costs microseconds.
 */
export function classifyPasswordHash(text: string): PasswordHashClass {
  if (text === '' || text.startsWith('!')) return refused('no_password');
  if (text.length > TEXT_LENGTH_MAX) return refused('malformed');
  if (UNSALTED.test(text)) return refused('unsalted');
  if (WEAK.test(text)) return refused('too_weak');
  const read = READERS.get(text.split('$', 1)[0]);
  return read === undefined ? refused('unknown_format') : read(text);
}
