// If this breaks, the time of a refused login tells which phone numbers have an account, and which of them came from
// the old application.
//
// Time itself is measured by `npm run bench -- login-timing`; here it is the work: which computations, and how much.
import t from 'tap';
import { classifyPasswordHash } from '../../src/lib/password-hash/classify-password-hash.ts';
import { RefusalWork } from '../../src/lib/password-hash/refusal-work.ts';
import type { Work } from '../../src/lib/password-hash/stored-hash.ts';
import { createPasswordHasher } from '../../src/lib/password-hasher.ts';
import { readDjangoHashes } from '../fixtures/django/password-hashes.ts';
import { countHashes } from '../hash-counter.ts';

const COST = { memoryKib: 256, iterations: 1 };
const DECOMPOSED = 'mot de passe oublie\u0301';

function workOf(hash: string): Work {
  const read = classifyPasswordHash(hash);
  if (!read.isSupported) throw new Error(`${hash} is ${read.reason}`);
  return read.hash.work;
}

/** Amounts by kind, kinds in the order of their names. */
function sum(works: readonly Work[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const { kind, amount } of works) sums.set(kind.name, (sums.get(kind.name) ?? 0) + amount);
  return Object.fromEntries([...sums].sort(([a], [b]) => a.localeCompare(b)));
}

const hashes = ['3.2', '5.2'].flatMap((release) => readDjangoHashes(release as '3.2' | '5.2').hashes);

t.test('A11 a refusal is the same work for every account, whatever kind of hash it has, and for none', async (t) => {
  const today = workOf(await (await createPasswordHasher(COST)).hash('a password'));
  const refusals = new RefusalWork(today);
  t.same(sum(refusals.remainderAfter(null)), { [today.kind.name]: 1 }, 'before any import: one hash of today');
  t.same(sum(refusals.remainderAfter(today)), {}, 'which is what a wrong password has cost already');

  const everyKind = hashes.map(({ hash }) => hash);
  refusals.setInUse(everyKind);
  const whole = sum(refusals.remainderAfter(null));
  t.match(whole, { pbkdf2_sha256: 1_000_000, pbkdf2_sha1: 1_000_000, bcrypt: 4_096, [today.kind.name]: 1 });
  t.equal(Object.keys(whole).length, new Set([today, ...everyKind.map(workOf)].map(({ kind }) => kind.name)).size);
  for (const hash of everyKind) {
    const done = workOf(hash);
    t.same(sum([done, ...refusals.remainderAfter(done)]), whole, hash.slice(0, 40));
  }
  t.same(sum([today, ...refusals.remainderAfter(today)]), whole);
  t.equal(refusals.isMixed, true, 'the order differs with what was checked first: a pause by chance blurs it');

  refusals.setInUse([]);
  t.equal(refusals.isMixed, false, 'one computation, always the same: nothing to blur');
  t.same(sum(refusals.remainderAfter(null)), { [today.kind.name]: 1 }, 'when the last old hash is gone');
});

t.test('A11 a kind that was not known to be in use is from its first check on', async (t) => {
  const today = workOf(await (await createPasswordHasher(COST)).hash('a password'));
  const refusals = new RefusalWork(today);
  const rounds = (count: number): Work => workOf(`pbkdf2_sha256$${count}$salt$${'A'.repeat(43)}=`);
  t.same(sum(refusals.remainderAfter(rounds(500))), { [today.kind.name]: 1 });
  t.same(sum(refusals.remainderAfter(null)), { [today.kind.name]: 1, pbkdf2_sha256: 500 });
  t.same(sum(refusals.remainderAfter(rounds(200))), { [today.kind.name]: 1, pbkdf2_sha256: 300 }, 'the rest of the rounds');
  t.same(sum(refusals.remainderAfter(rounds(700))), { [today.kind.name]: 1 }, 'and a costlier one raises it');
  t.same(sum(refusals.remainderAfter(null)), { [today.kind.name]: 1, pbkdf2_sha256: 700 });
  refusals.setInUse(['', '!', 'nonsense', '$argon2id$v=19$m=4194304,t=1,p=1$c29tZSBzYWx0IG9mIG91cnM$AAAA']);
  t.same(sum(refusals.remainderAfter(null)), { [today.kind.name]: 1 }, 'what nobody can log in with costs nothing');
});

t.test('A11 what is owed is really computed', async (t) => {
  const hasher = await createPasswordHasher(COST);
  const counter = countHashes(t, 'all');
  const count = async (attempt: () => Promise<unknown>): Promise<number> => {
    counter.take();
    await attempt();
    return counter.take();
  };
  const password = 'a wrong password';
  const today = await hasher.hash('a password');
  const imported = hashes.filter(({ format, hash }) => format !== 'bcrypt' && workOf(hash).amount <= 16);
  const oneOfEach = [...new Map(imported.map(({ hash }) => [workOf(hash).kind.name, hash])).values()]
    .filter((hash) => !hash.includes('m=102400') && !hash.startsWith('scrypt$16384'));
  t.equal(oneOfEach.length, 6, 'Argon2i, Argon2id, two of PBKDF2, bcrypt and scrypt');

  t.equal(await count(() => hasher.verifyNothing(password)), 1);
  t.equal(await count(() => hasher.verify(today, password)), 1);
  t.equal(await count(() => hasher.verify('no hash at all', password)), 1);
  hasher.setHashesInUse(oneOfEach);
  for (const [spelling, perImported] of [[password, 1], [DECOMPOSED, 2]] as const) {
    const whole = 1 + oneOfEach.length * perImported;
    t.equal(await count(() => hasher.verifyNothing(spelling)), whole, 'nobody’s');
    for (const hash of [today, 'no hash at all', '', '!', ...oneOfEach]) {
      t.equal(await count(() => hasher.verify(hash, spelling)), whole, hash.slice(0, 40));
      t.equal(await count(() => hasher.verifyAndRenew(hash, spelling)), whole);
    }
  }
  t.equal(await count(() => hasher.verify(today, 'a password')), 1, 'a right password owes nothing more');
});
