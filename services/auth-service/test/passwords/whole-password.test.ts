// If this breaks, part of a long password counts for nothing, or people are locked out when they type the same
// password on another keyboard.
import t from 'tap';
import { startAuth } from '../auth-fixture.ts';
import { logIn, nextNumber, refusals, register } from '../requests.ts';

/** Text of that many characters in which no part repeats another. */
function passwordOf(length: number): string {
  return Array.from({ length }, (_, at) => String.fromCharCode(97 + ((at * 7 + Math.floor(at / 26)) % 26))).join('');
}

t.test('A6 passwords of 64, 72, 73, 128 and 256 characters count whole', async (t) => {
  const { app } = await startAuth(t);
  for (const length of [64, 72, 73, 128, 256]) {
    const phoneNumber = nextNumber();
    const password = passwordOf(length);
    const attempt = async (candidate: string): Promise<number> =>
      (await logIn(app, { phone_number: phoneNumber, password: candidate })).statusCode;
    t.equal((await register(app, { phone_number: phoneNumber, password })).statusCode, 201, `${length}`);
    t.equal(await attempt(password), 200);
    t.equal(await attempt(password.slice(0, -1)), 401, 'without its last character');
    t.equal(await attempt(password.slice(0, 72)), length <= 72 ? 200 : 401, 'its first 72');
    t.equal(await attempt(`${password.slice(0, -1)}!`), 401, 'with another last character');
    t.equal(await attempt(`${password}!`), 401, 'with one more');
  }
});

t.test('A6 one password, however its characters are composed', async (t) => {
  const { app } = await startAuth(t);
  const words = ['Café-Zürich-naïve', 'Ångström ½ ﬁn', '비밀번호는 비밀', 'ᾂᾂᾂᾂ ᾂᾂᾂᾂ', 'ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣ẛ̣'];
  for (const word of words) {
    for (const [first, second] of [['NFC', 'NFD'], ['NFD', 'NFC']] as const) {
      const phoneNumber = nextNumber();
      const created = await register(app, { phone_number: phoneNumber, password: word.normalize(first) });
      t.equal(created.statusCode, 201, `${word} registered as ${first}`);
      const login = await logIn(app, { phone_number: phoneNumber, password: word.normalize(second) });
      t.equal(login.statusCode, 200, `logs in as ${second}`);
      const folded = word.normalize('NFKC');
      if (folded === word.normalize('NFC')) continue;
      const other = await logIn(app, { phone_number: phoneNumber, password: folded });
      t.equal(other.statusCode, 401, 'a compatible character is another character');
    }
  }
});

t.test('A6 spaces around a password are part of it', async (t) => {
  const { app } = await startAuth(t);
  const phoneNumber = nextNumber();
  const password = '  a spaced out password ';
  t.equal((await register(app, { phone_number: phoneNumber, password })).statusCode, 201);
  t.equal((await logIn(app, { phone_number: phoneNumber, password })).statusCode, 200);
  for (const other of [password.trim(), password.trimStart(), password.trimEnd(), `${password} `]) {
    t.equal((await logIn(app, { phone_number: phoneNumber, password: other })).statusCode, 401, JSON.stringify(other));
  }
  const [spaces, tabs] = await Promise.all(
    [' '.repeat(12), '\t'.repeat(12)].map((blank) => register(app, { phone_number: nextNumber(), password: blank })),
  );
  t.same([spaces!.statusCode, tabs!.statusCode], [201, 201], 'no character is forbidden');
});

t.test('A6 length counts code points after NFC: 256 is the longest, 257 is 400', async (t) => {
  const { app } = await startAuth(t);
  const units: [string, string][] = [
    ['an ASCII letter', 'x'],
    ['a character of two code units', '😀'],
    ['a letter decomposed into two', 'e\u0301'],
    ['a syllable decomposed into three', '한'.normalize('NFD')],
    ['a vowel decomposed into four', 'ᾂ'.normalize('NFD')],
  ];
  for (const [what, unit] of units) {
    const longest = await register(app, { phone_number: nextNumber(), password: unit.repeat(256) });
    t.equal(longest.statusCode, 201, `256 × ${what}`);
    const longer = await register(app, { phone_number: nextNumber(), password: unit.repeat(257) });
    t.equal(longer.statusCode, 400, `257 × ${what}`);
    t.match(refusals(longer), [/^\/password (password_)?too_long$/]);
    const shortest = await register(app, { phone_number: nextNumber(), password: unit.repeat(8) });
    t.equal(shortest.statusCode === 201 || refusals(shortest)[0] === '/password password_common', true, `8 × ${what}`);
    const shorter = await register(app, { phone_number: nextNumber(), password: unit.repeat(7) });
    t.same(refusals(shorter), ['/password password_too_short'], `7 × ${what}`);
  }
  t.equal((await logIn(app, { phone_number: nextNumber(), password: 'x'.repeat(257) })).statusCode, 401);
  t.equal((await logIn(app, { phone_number: nextNumber(), password: 'x'.repeat(1025) })).statusCode, 400);
});
