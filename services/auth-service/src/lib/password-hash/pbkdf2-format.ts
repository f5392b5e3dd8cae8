import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { parseBase64, parseCount, refused, supported, type PasswordHashClass, type WorkKind } from './stored-hash.ts';

const derive = promisify(pbkdf2);

/**
 * 3,000,000 rounds: Django asks for 1,200,000 in 2026 and for a fifth more with each release. About 0.6 s of a core;
 * with more, a handful of logins holds every core.
 */
const ROUNDS_MAX = 3_000_000;

/** 128 characters: Django makes 22. */
const SALT_LENGTH_MAX = 128;

/** By Django's name: the hash function, and the length of its digest, of which Django keeps one block. */
const VARIANTS = {
  pbkdf2_sha256: { hash: 'sha256', digestBytes: 32 },
  pbkdf2_sha1: { hash: 'sha1', digestBytes: 20 },
} as const;

type Variant = keyof typeof VARIANTS;

function toKind(name: Variant): WorkKind {
  const { hash, digestBytes } = VARIANTS[name];
  return {
    name,
    isForeign: true,
    spend: async (rounds, password) => {
      await derive(password, 'nobody’s salt', rounds, digestBytes, hash);
    },
  };
}

const KINDS: Readonly<Record<Variant, WorkKind>> = {
  pbkdf2_sha256: toKind('pbkdf2_sha256'),
  pbkdf2_sha1: toKind('pbkdf2_sha1'),
};

/** `pbkdf2_sha256$<rounds>$<salt>$<digest>` (RFC 8018 section 5.2); the salt is text, the digest padded base64. */
export function readPbkdf2(text: string): PasswordHashClass {
  const [name, roundsText, salt = '', digestText, ...more] = text.split('$');
  if (name !== 'pbkdf2_sha256' && name !== 'pbkdf2_sha1') return refused('unknown_format');
  const { hash, digestBytes } = VARIANTS[name];
  const rounds = parseCount(roundsText);
  const digest = parseBase64(digestText, true);
  if (Number.isNaN(rounds) || salt === '' || digest?.length !== digestBytes || more.length > 0) {
    return refused('malformed');
  }
  if (rounds > ROUNDS_MAX || salt.length > SALT_LENGTH_MAX) return refused('too_expensive');
  return supported({
    format: name,
    work: { kind: KINDS[name], amount: rounds },
    verify: async (password) => timingSafeEqual(await derive(password, salt, rounds, digestBytes, hash), digest),
  });
}
