// If this breaks, the hashes we keep are ours alone: the day the library has to be replaced, nobody can log in.
//
// Production hashes with @node-rs/argon2. The package `argon2`, which wraps the reference implementation, is the second
// opinion: each must verify what the other made.
import argon2 from 'argon2';
import t from 'tap';
import { createPasswordHasher } from '../../src/lib/password-hasher.ts';
import { countHashes } from '../hash-counter.ts';

const PASSWORDS = [
  'correct horse battery staple',
  'Café naïve Ångström',
  '비밀번호는 비밀',
  '😀'.repeat(64),
  'x'.repeat(256),
  ' leading and trailing ',
  '\t\n\r',
  "'; drop table users; --",
];

const COSTS = [
  { memoryKib: 8, iterations: 1 },
  { memoryKib: 256, iterations: 1 },
  { memoryKib: 1_024, iterations: 3 },
  { memoryKib: 19_456, iterations: 2 },
];

/** All of them where a hash is cheap; where it costs 20 ms and more, two say as much. */
function takeSome(memoryKib: number): string[] {
  return PASSWORDS.slice(0, memoryKib > 10_000 ? 2 : PASSWORDS.length);
}

t.test('A1 what we hash, the reference implementation verifies', async (t) => {
  for (const cost of COSTS) {
    const hasher = await createPasswordHasher(cost);
    for (const password of takeSome(cost.memoryKib)) {
      const what = `m=${cost.memoryKib} ${JSON.stringify(password.slice(0, 20))}`;
      const passwordHash = await hasher.hash(password);
      const [, kind, version, parameters, salt = '', digest = ''] = passwordHash.split('$');
      t.same([kind, version, parameters], ['argon2id', 'v=19', `m=${cost.memoryKib},t=${cost.iterations},p=1`]);
      t.ok(Buffer.from(salt, 'base64').length >= 16, 'a salt of at least 128 bits (RFC 9106 section 3.1)');
      t.ok(Buffer.from(digest, 'base64').length >= 32, 'a tag of at least 256 bits');
      t.equal(await argon2.verify(passwordHash, password.normalize('NFC')), true, what);
      t.equal(await argon2.verify(passwordHash, `${password}x`), false);
      t.equal(await hasher.verify(passwordHash, password), true);
      t.equal(await hasher.verify(passwordHash, `${password}x`), false);
      t.not(await hasher.hash(password), passwordHash, 'a new salt for each hash');
    }
  }
});

t.test('A15 what the reference implementation hashes, we verify, whatever its parameters', async (t) => {
  const hasher = await createPasswordHasher({ memoryKib: 256, iterations: 1 });
  const parameters = [
    { memoryCost: 8, timeCost: 1, parallelism: 1 },
    { memoryCost: 512, timeCost: 2, parallelism: 2 },
    { memoryCost: 1_024, timeCost: 1, parallelism: 4, hashLength: 64, salt: Buffer.alloc(32, 7) },
    { memoryCost: 19_456, timeCost: 2, parallelism: 1 },
    { memoryCost: 102_400, timeCost: 2, parallelism: 8, hashLength: 32 }, // Django's own
  ];
  for (const options of parameters) {
    for (const password of takeSome(options.memoryCost)) {
      const passwordHash = await argon2.hash(password.normalize('NFC'), { ...options, type: argon2.argon2id });
      const what = `m=${options.memoryCost},t=${options.timeCost},p=${options.parallelism} ${password.slice(0, 20)}`;
      t.equal(await hasher.verify(passwordHash, password), true, what);
      t.equal(await hasher.verify(passwordHash, password.normalize('NFD')), true, 'in another spelling');
      t.equal(await hasher.verify(passwordHash, password.slice(0, -1)), false);
    }
  }
});

t.test('A10 what is no hash verifies nothing', async (t) => {
  const hasher = await createPasswordHasher({ memoryKib: 256, iterations: 1 });
  const good = await hasher.hash('a password');
  const table = ['', 'a password', good.slice(0, -1), good.replace('argon2id', 'argon2'), good.replace('v=19', 'v=99'),
    good.replace('m=256', 'm=0'), good.replace('p=1', 'p=0'), good.replace(/\$[^$]*$/, '$'), '!', '$argon2id$'];
  for (const text of table) t.equal(await hasher.verify(text, 'a password'), false, text);
  const hashes = countHashes(t);
  await hasher.verifyNothing('a password');
  t.equal(hashes.take(), 1, 'nobody’s password costs one hash');
});
