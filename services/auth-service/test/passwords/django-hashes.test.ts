// If this breaks, people who moved in from the Django application are told that their password is wrong, or a hash that
// somebody slipped into the import holds the machine for minutes at every login.
//
// The hashes were made by a real Django: test/fixtures/django/make-password-hashes.py.
import t from 'tap';
import { classifyPasswordHash } from '../../src/lib/password-hash/classify-password-hash.ts';
import { createPasswordHasher } from '../../src/lib/password-hasher.ts';
import { readDjangoHashes } from '../fixtures/django/password-hashes.ts';

const TODAY = /^\$argon2id\$v=19\$m=256,t=1,p=1\$/;
/** Hashes at Django's own cost, hundreds of milliseconds each: a wrong password is tried on the others. */
const AT_FULL_COST = /\$(260000|1000000)\$|\$m=102400,|\$12\$|^scrypt\$16384\$/;
const releases = [readDjangoHashes('3.2'), readDjangoHashes('5.2')];

/** The password with another last character. */
function misspell(password: string): string {
  return `${password.slice(0, -1)}${password.endsWith('!') ? '?' : '!'}`;
}

t.test('A15 every hash that Django makes is verified, and renewed only by the right password', async (t) => {
  for (const { madeBy, hashes } of releases) {
    t.ok(hashes.length > 100, `${hashes.length} hashes by ${madeBy}`);
    for (const { format, password, hash } of hashes) {
      // One for each: a hasher that met an expensive kind spends as much on every refusal.
      const hasher = await createPasswordHasher({ memoryKib: 256, iterations: 1 });
      const what = `${hash.slice(0, 40)}… of ${JSON.stringify(password.slice(0, 30))}`;
      const read = classifyPasswordHash(hash);
      t.match(read, { isSupported: true, hash: { format } }, what);
      const isCutOff = format === 'bcrypt' && Buffer.byteLength(password) > 72;
      if (!isCutOff && !AT_FULL_COST.test(hash)) {
        const wrong = await hasher.verifyAndRenew(hash, misspell(password));
        t.same(wrong, { isRight: false, renewedHash: null }, 'another last character');
      }
      const { isRight, renewedHash } = await hasher.verifyAndRenew(hash, password);
      t.equal(isRight, true, what);
      if (isCutOff) {
        t.equal(renewedHash, null, 'what bcrypt cut off is not known to be right');
        continue;
      }
      t.match(renewedHash, TODAY);
      t.equal(await hasher.verify(renewedHash ?? '', password), true, 'the new hash is of the same password');
      t.equal(await hasher.verify(renewedHash ?? '', misspell(password)), false);
    }
  }
});

t.test('A15 a password is right as it was typed for Django, and in any spelling once it is renewed', async (t) => {
  const hasher = await createPasswordHasher({ memoryKib: 256, iterations: 1 });
  const composed = 'Café-Zürich-naïve'.normalize('NFC');
  const decomposed = composed.normalize('NFD');
  const hashesOf = (password: string): string[] =>
    releases.flatMap(({ hashes }) => hashes.filter((entry) => entry.password === password).map(({ hash }) => hash));
  t.ok(hashesOf(composed).length >= 11);
  t.equal(hashesOf(decomposed).length, hashesOf(composed).length);
  for (const hash of hashesOf(composed)) {
    t.equal(await hasher.verify(hash, composed), true);
    t.equal(await hasher.verify(hash, decomposed), true, 'its composed form is tried too');
  }
  for (const hash of hashesOf(decomposed)) {
    const { renewedHash } = await hasher.verifyAndRenew(hash, decomposed);
    for (const spelling of [composed, decomposed]) t.equal(await hasher.verify(renewedHash ?? '', spelling), true);
  }
});

t.test('A15 older parameters of ours are verified and renewed, today’s are kept', async (t) => {
  const hasher = await createPasswordHasher({ memoryKib: 512, iterations: 2 });
  for (const cost of [{ memoryKib: 256, iterations: 2 }, { memoryKib: 512, iterations: 1 }, { memoryKib: 1_024, iterations: 3 }]) {
    const older = await (await createPasswordHasher(cost)).hash('a password');
    t.same(await hasher.verifyAndRenew(older, 'a passwort'), { isRight: false, renewedHash: null });
    const { isRight, renewedHash } = await hasher.verifyAndRenew(older, 'a password');
    t.equal(isRight, true);
    t.match(renewedHash, /^\$argon2id\$v=19\$m=512,t=2,p=1\$/);
  }
  const today = await hasher.hash('a password');
  t.same(await hasher.verifyAndRenew(today, 'a password'), { isRight: true, renewedHash: null });
});

t.test('A15 the unsalted, the weak and the unusable are refused, with a reason', async (t) => {
  for (const { refused } of releases) {
    t.ok(refused.length > 0);
    for (const { hash, reason } of refused) t.same(classifyPasswordHash(hash), { isSupported: false, reason }, hash);
  }
});

const SALT = 'c29tZSBzYWx0IG9mIG91cnM';
const DIGEST = 'A'.repeat(43);
const BCRYPT = `${'a'.repeat(21)}e${'b'.repeat(30)}C`;
const SHA256_DIGEST = `${'A'.repeat(43)}=`;
const SCRYPT_DIGEST = `${'A'.repeat(86)}==`;

t.test('A15 every ceiling holds at its value and refuses one above, before anything is computed', async (t) => {
  const argon2 = (memoryKib: number, iterations: number, lanes: number, salt = SALT, digest = DIGEST): string =>
    `$argon2id$v=19$m=${memoryKib},t=${iterations},p=${lanes}$${salt}$${digest}`;
  const base64 = (bytes: number): string => Buffer.alloc(bytes, 1).toString('base64').replace(/=+$/, '');
  const table: [string, string, string][] = [
    ['memory', argon2(262_144, 4, 1), argon2(262_145, 1, 1)],
    ['4 GiB', argon2(19_456, 2, 1), argon2(4_194_304, 1, 1)],
    ['passes', argon2(8_192, 20, 1), argon2(8_192, 21, 1)],
    ['memory times passes', argon2(131_072, 8, 1), argon2(131_073, 8, 1)],
    ['10^9 passes', argon2(8, 1, 1), argon2(8, 1_000_000_000, 1)],
    ['lanes', argon2(19_456, 2, 16), argon2(19_456, 2, 17)],
    ['length of the salt', argon2(256, 1, 1, base64(64)), argon2(256, 1, 1, base64(65))],
    ['length of the output', argon2(256, 1, 1, SALT, base64(64)), argon2(256, 1, 1, SALT, base64(65))],
    ['Django’s Argon2', `argon2${argon2(262_144, 1, 8)}`, `argon2${argon2(4_194_304, 1, 8)}`],
    ['rounds', `pbkdf2_sha256$3000000$salt$${SHA256_DIGEST}`, `pbkdf2_sha256$3000001$salt$${SHA256_DIGEST}`],
    ['10^9 rounds', `pbkdf2_sha256$1$salt$${SHA256_DIGEST}`, `pbkdf2_sha256$1000000000$salt$${SHA256_DIGEST}`],
    ['10^19 rounds', `pbkdf2_sha256$1$salt$${SHA256_DIGEST}`, `pbkdf2_sha256$${10n ** 19n}$salt$${SHA256_DIGEST}`],
    ['bytes of salt', `pbkdf2_sha256$1$${'s'.repeat(128)}$${SHA256_DIGEST}`, `pbkdf2_sha256$1$${'s'.repeat(129)}$${SHA256_DIGEST}`],
    ['cost', `bcrypt_sha256$$2b$14$${BCRYPT}`, `bcrypt_sha256$$2b$15$${BCRYPT}`],
    ['cost of the plain kind', `bcrypt$$2y$14$${BCRYPT}`, `bcrypt$$2y$31$${BCRYPT}`],
    ['N', `scrypt$65536$salt$8$1$${SCRYPT_DIGEST}`, `scrypt$131072$salt$8$1$${SCRYPT_DIGEST}`],
    ['N × r × p', `scrypt$16384$salt$8$15$${SCRYPT_DIGEST}`, `scrypt$16384$salt$8$16$${SCRYPT_DIGEST}`],
    ['4 GiB of scrypt', `scrypt$16384$salt$8$5$${SCRYPT_DIGEST}`, `scrypt$4194304$salt$8$1$${SCRYPT_DIGEST}`],
  ];
  const hasher = await createPasswordHasher({ memoryKib: 8, iterations: 1 });
  for (const [what, atMost, above] of table) {
    t.match(classifyPasswordHash(atMost), { isSupported: true }, `${what}: ${atMost.slice(0, 40)}`);
    t.same(classifyPasswordHash(above), { isSupported: false, reason: 'too_expensive' }, `${what}: ${above.slice(0, 40)}`);
    t.same(await hasher.verifyAndRenew(above, 'a password'), { isRight: false, renewedHash: null });
  }
  await t.rejects(createPasswordHasher({ memoryKib: 262_144, iterations: 5 }), /refused at login/, 'our own neither');
});

t.test('A15 what is no hash is refused, whatever it looks like', async (t) => {
  const table: [string, string][] = [
    ['no_password', ''],
    ['no_password', '!'],
    ['no_password', '!p2z7qrByhMCXhwk00AMx2hAsCOyYZXVL1Jayr08P'],
    ['unknown_format', 'a password in clear'],
    ['unknown_format', '__proto__$1$2$3'],
    ['unknown_format', 'constructor$1'],
    ['unknown_format', `$2b$12$${BCRYPT}`.slice(1)],
    ['unknown_format', 'pbkdf2_sha512$1$salt$AAAA'],
    ['unknown_format', 'PBKDF2_SHA256$1$salt$AAAA'],
    ['unsalted', '5f4dcc3b5aa765d61d8327deb882cf99'],
    ['unsalted', '5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8'],
    ['unsalted', 'md5$$5f4dcc3b5aa765d61d8327deb882cf99'],
    ['unsalted', 'unsalted_sha1$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8'],
    ['unsalted', `pbkdf2_sha256$260000$$${SHA256_DIGEST}`],
    ['unsalted', `scrypt$16384$$8$1$${SCRYPT_DIGEST}`],
    ['too_weak', 'md5$salt$5f4dcc3b5aa765d61d8327deb882cf99'],
    ['malformed', 'argon2'],
    ['malformed', `$argon2d$v=19$m=256,t=1,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=16$m=256,t=1,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$m=256,t=1,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$t=1,m=256,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=1,data=AAAA$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=0,t=1,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=0256,t=1,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=15,t=1,p=2$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=256,t=0,p=1$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=0$${SALT}$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=1$c2FsdA$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=1$$${DIGEST}`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=1$${SALT}$AAAA`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=1$${SALT}$${DIGEST.slice(0, -1)}B`],
    ['malformed', `$argon2id$v=19$m=256,t=1,p=1$${SALT}$${DIGEST}$`],
    ['malformed', `pbkdf2_sha256$0$salt$${SHA256_DIGEST}`],
    ['malformed', `pbkdf2_sha256$-1$salt$${SHA256_DIGEST}`],
    ['malformed', `pbkdf2_sha256$1e5$salt$${SHA256_DIGEST}`],
    ['malformed', `pbkdf2_sha256$ 100$salt$${SHA256_DIGEST}`],
    ['malformed', `pbkdf2_sha256$100$salt$${SHA256_DIGEST.slice(0, -1)}`],
    ['malformed', `pbkdf2_sha256$100$salt$${SHA256_DIGEST}$`],
    ['malformed', `pbkdf2_sha1$100$salt$${SHA256_DIGEST}`],
    ['malformed', 'pbkdf2_sha256$100$salt'],
    ['malformed', `bcrypt_sha256$2b$12$${BCRYPT}`],
    ['malformed', `bcrypt_sha256$$2b$03$${BCRYPT}`],
    ['malformed', `bcrypt_sha256$$2x$12$${BCRYPT}`],
    ['malformed', `bcrypt_sha256$$2b$12$${BCRYPT}a`],
    ['malformed', `bcrypt_sha256$$2b$12$${BCRYPT.slice(0, -1)}D`],
    ['malformed', `scrypt$16383$salt$8$1$${SCRYPT_DIGEST}`],
    ['malformed', `scrypt$1$salt$8$1$${SCRYPT_DIGEST}`],
    ['malformed', `scrypt$16384$salt$0$1$${SCRYPT_DIGEST}`],
    ['malformed', `scrypt$16384$salt$8$1$${SHA256_DIGEST}`],
    ['malformed', `pbkdf2_sha256$100$salt$${'A'.repeat(100_000)}`],
  ];
  for (const [reason, text] of table) {
    t.same(classifyPasswordHash(text), { isSupported: false, reason }, JSON.stringify(text.slice(0, 60)));
  }
});
