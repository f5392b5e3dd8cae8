import { hash, verify } from '@node-rs/bcrypt';
import { createHash } from 'node:crypto';
import { parseCount, refused, supported, type PasswordHashClass, type WorkKind } from './stored-hash.ts';

/** 2^14: four times Django's work, about 0.8 s of a core; with more, a handful of logins holds every core. */
const COST_MAX = 14;

/** The least that bcrypt knows. */
const COST_MIN = 4;

/** bcrypt reads no further; Django's plain kind silently ignores what comes after. */
const PASSWORD_BYTES_MAX = 72;

/**
 * `bcrypt_sha256$$2b$12$<salt><digest>`. 22 characters hold 128 bits and 31 hold 184, so that only some characters can
 * end them; others are no hash that any implementation made.
 */
const FORM = /^(bcrypt|bcrypt_sha256)\$(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26])$/;

/** The amounts are 2^cost, which is what the time is proportional to. */
const KIND: WorkKind = {
  name: 'bcrypt',
  isForeign: true,
  spend: async (amount, password) => {
    // Any amount is a sum of powers of two; 2^12 − 2^10, for instance, is cost 10 and cost 11.
    for (let cost = COST_MIN; cost <= COST_MAX; cost += 1) {
      if ((amount & (2 ** cost)) !== 0) await hash(toHexDigest(password), cost);
    }
  },
};

function toHexDigest(password: string): string {
  return createHash('sha256').update(password).digest('hex');
}

/** bcrypt; Django's `bcrypt_sha256` of the password's SHA-256 in hexadecimal, its `bcrypt` of the first 72 bytes. */
export function readBcrypt(text: string): PasswordHashClass {
  const [, name, stored, costText] = FORM.exec(text) ?? [];
  const cost = parseCount(costText?.replace(/^0/, ''));
  if (stored === undefined || !(cost >= COST_MIN)) return refused('malformed');
  if (cost > COST_MAX) return refused('too_expensive');
  const work = { kind: KIND, amount: 2 ** cost };
  if (name === 'bcrypt_sha256') {
    return supported({ format: 'bcrypt_sha256', work, verify: (password) => verify(toHexDigest(password), stored) });
  }
  return supported({
    format: 'bcrypt',
    work,
    verify: (password) => verify(Buffer.from(password).subarray(0, PASSWORD_BYTES_MAX), stored),
    countsWhole: (password) => Buffer.byteLength(password) <= PASSWORD_BYTES_MAX,
  });
}
