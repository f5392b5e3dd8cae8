import { verify } from '@node-rs/argon2';
import { parseBase64, parseCount, refused, supported, type PasswordHashClass, type WorkKind } from './stored-hash.ts';

/**
 * 256 MiB: two and a half times what Django asks for (100 MiB). Smaller would refuse its hashes; larger, and as many
 * logins at once as there are cores take the memory of a small machine.
 */
export const ARGON2_MEMORY_KIB_MAX = 256 * 1024;

/** 20 passes: more memory is what makes a hash stronger; a loop over little of it only costs time. */
export const ARGON2_ITERATIONS_MAX = 20;

/**
 * 1 GiB of passes (memory × iterations), five times Django's: about 0.6 s of a core. With more, a handful of logins
 * holds every core.
 */
const MEMORY_PASSES_KIB_MAX = 1024 * 1024;

/** 16 lanes, twice Django's. The library starts a thread for each. */
const PARALLELISM_MAX = 16;

/** RFC 9106 section 3.1 asks for 128 bits and uses 32 bytes; 64 is the longest anybody makes. */
const DIGEST_BYTES_MIN = 16;
const DIGEST_BYTES_MAX = 64;

/** The library takes no salt below 8 bytes; above 64 there is nothing to win. */
const SALT_BYTES_MIN = 8;
const SALT_BYTES_MAX = 64;

/** `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<digest>`, Django's with its name in front. Fields in the order of the PHC. */
const FORM = /^(argon2)?\$(argon2id?)\$v=19\$m=([0-9]+),t=([0-9]+),p=([0-9]+)\$([^$]*)\$([^$]*)$/;

/** One check of these parameters. Argon2's time is not proportional to anything, so that each set is its own kind. */
function toKind(isForeign: boolean, parameters: string): WorkKind {
  const salt = Buffer.alloc(16, 's').toString('base64').replace(/=+$/, '');
  const digest = Buffer.alloc(32).toString('base64').replace(/=+$/, '');
  const nobody = `${parameters}$${salt}$${digest}`;
  return {
    name: isForeign ? `argon2${parameters}` : parameters,
    isForeign,
    spend: async (amount, password) => {
      for (let done = 0; done < amount; done += 1) await verify(nobody, password);
    },
  };
}

/** Argon2 (RFC 9106), variants i and id, version 19: ours, and with `argon2` in front Django's. */
export function readArgon2(text: string): PasswordHashClass {
  const [, prefix, variant, memoryText, iterationsText, lanesText, saltText, digestText] = FORM.exec(text) ?? [];
  const memoryKib = parseCount(memoryText);
  const iterations = parseCount(iterationsText);
  const lanes = parseCount(lanesText);
  const salt = parseBase64(saltText, false);
  const digest = parseBase64(digestText, false);
  const isWhole = memoryKib >= 8 * lanes && iterations >= 1 && salt !== null && digest !== null;
  if (!isWhole || salt.length < SALT_BYTES_MIN || digest.length < DIGEST_BYTES_MIN) return refused('malformed');
  const isAffordable =
    memoryKib <= ARGON2_MEMORY_KIB_MAX &&
    iterations <= ARGON2_ITERATIONS_MAX &&
    memoryKib * iterations <= MEMORY_PASSES_KIB_MAX &&
    lanes <= PARALLELISM_MAX &&
    salt.length <= SALT_BYTES_MAX &&
    digest.length <= DIGEST_BYTES_MAX;
  if (!isAffordable) return refused('too_expensive');
  const phc = text.slice(prefix?.length ?? 0);
  const isForeign = prefix !== undefined;
  return supported({
    format: isForeign ? 'django_argon2' : 'argon2',
    work: { kind: toKind(isForeign, `$${variant}$v=19$m=${memoryKib},t=${iterations},p=${lanes}`), amount: 1 },
    verify: (password) => verify(phc, password),
  });
}
