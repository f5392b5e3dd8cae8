import { scrypt, timingSafeEqual, type BinaryLike, type ScryptOptions } from 'node:crypto';
import { promisify } from 'node:util';
import { parseBase64, parseCount, refused, supported, type PasswordHashClass, type WorkKind } from './stored-hash.ts';

const derive = promisify<string, BinaryLike, number, ScryptOptions, Buffer>(scrypt);

/** 64 MiB, four times Django's. As many logins at once as there are cores take that much each. */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

/** N × r × p, three times Django's (2^14 × 8 × 5): about 0.5 s of a core. */
const BLOCKS_MAX = 3 * 2 ** 14 * 8 * 5;

/** 128 characters: Django makes 22. */
const SALT_LENGTH_MAX = 128;

/** What Django keeps of the output. */
const DIGEST_BYTES = 64;

/** One check of these parameters: its time is not proportional to anything, so that each set is its own kind. */
function toKind(options: ScryptOptions): WorkKind {
  return {
    name: `scrypt N=${options.N},r=${options.r},p=${options.p}`,
    isForeign: true,
    spend: async (amount, password) => {
      for (let done = 0; done < amount; done += 1) await derive(password, 'nobody’s salt', DIGEST_BYTES, options);
    },
  };
}

/** `scrypt$<N>$<salt>$<r>$<p>$<digest>` (RFC 7914); the salt is text, the digest padded base64. */
export function readScrypt(text: string): PasswordHashClass {
  const [, costText, salt = '', blockSizeText, parallelismText, digestText, ...more] = text.split('$');
  const N = parseCount(costText);
  const r = parseCount(blockSizeText);
  const p = parseCount(parallelismText);
  const digest = parseBase64(digestText, true);
  const isWhole = !Number.isNaN(N * r * p) && salt !== '' && digest?.length === DIGEST_BYTES && more.length === 0;
  if (!isWhole || N < 2 || !Number.isInteger(Math.log2(N))) return refused('malformed');
  const memoryBytes = 128 * N * r;
  if (memoryBytes > MEMORY_BYTES_MAX || N * r * p > BLOCKS_MAX || salt.length > SALT_LENGTH_MAX) {
    return refused('too_expensive');
  }
  // The library also counts p blocks and some working space; the ceilings above are what bounds it.
  const options = { N, r, p, maxmem: 2 * memoryBytes + 1024 * r * (p + 2) };
  return supported({
    format: 'scrypt',
    work: { kind: toKind(options), amount: 1 },
    verify: async (password) => timingSafeEqual(await derive(password, salt, DIGEST_BYTES, options), digest),
  });
}
