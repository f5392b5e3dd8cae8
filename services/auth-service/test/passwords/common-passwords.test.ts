// If this breaks, accounts can be taken over with the passwords that every attacker tries first, or people are made to
// invent passwords by rules that do not make them stronger.
import { dictionary } from '@zxcvbn-ts/language-common';
import t from 'tap';
import { PasswordPolicy } from '../../src/features/passwords/index.ts';
import { startAuth } from '../auth-fixture.ts';
import { logIn, nextNumber, problemOf, refusals, register } from '../requests.ts';

const nobody = { phoneNumbers: [], email: null };

t.test('A7 the common passwords are refused, in any case', async (t) => {
  const policy = new PasswordPolicy({ lengthMin: 8, refusesCommon: true, breaches: null });
  const common = dictionary['passwords-common'].map(String);
  t.ok(common.length >= 10_000, `${common.length} of them`);
  const accepted = common.filter((password) => policy.check(password, nobody) === null);
  t.same(accepted, []);
  t.same(common.filter((password) => policy.check(password.toUpperCase(), nobody) === null), []);

  const { app, database } = await startAuth(t);
  for (const password of ['password', 'password123', 'Password1', '12345678', 'iloveyou', 'qwertyuiop', 'INFRASIGNAL']) {
    const answer = await register(app, { phone_number: nextNumber(), password });
    t.equal(answer.statusCode, 400, password);
    t.same(refusals(answer), ['/password password_common']);
    t.match(problemOf(answer).password, [/attacker/], 'the inherited array says it too');
  }
  t.same(await database.query('select count(*)::int as count from users'), [{ count: 0 }]);
});

t.test('A7 what an attacker knows of the account is refused', async (t) => {
  const { app } = await startAuth(t);
  const number = { phone_number: '01 23 45 67 89' };
  const withEmail = { phone_number: '0123456789', email: 'Ada.Lovelace+x@Example.com' };
  const table: [string, Record<string, string>, string][] = [
    ['the number as it was written', number, '01 23 45 67 89'],
    ['the number without spaces', number, '0123456789'],
    ['the number in E.164', number, '+33123456789'],
    ['the number with 00', number, '0033123456789'],
    ['the number without its zero', number, '123456789'],
    ['its last eight digits', number, '23456789'],
    ['the number with dots', number, '01.23.45.67.89'],
    ['the number with slashes', number, '01/23/45/67/89'],
    ['the number in full-width digits', number, '０１２３４５６７８９'],
    ['the number as a URI', number, 'tel:+33-1-23-45-67-89'],
    ['the number between exclamation marks', number, '!0123456789!'],
    ['the local part', withEmail, 'Ada.Lovelace+x'],
    ['the local part in another case', withEmail, 'aDA.lOVELACE+X'],
    ['the whole address', withEmail, 'ada.lovelace+x@example.com'],
  ];
  for (const [what, body, password] of table) {
    t.same(refusals(await register(app, { ...body, password })), ['/password password_common'], what);
  }
});

t.test('A7 no rules of composition: what is not guessed first is accepted', async (t) => {
  const { app } = await startAuth(t);
  const passwords = [
    'vkqzjwhxr',
    'correct horse battery staple',
    'zzkqxvwy jj',
    '8314927065',
    '--------!+',
    '=%$&()!9',
    '0123456780',
    '😀😁😂🤣😃😄😅😆',
    'infrasignals are fine',
  ];
  for (const password of passwords) {
    const phoneNumber = nextNumber();
    const answer = await register(app, { phone_number: phoneNumber, password });
    t.equal(answer.statusCode, 201, password);
    t.equal((await logIn(app, { phone_number: phoneNumber, password })).statusCode, 200);
  }
});

t.test('A7 with DEBUG=true common passwords are accepted, short ones are not', async (t) => {
  const { app } = await startAuth(t, { DEBUG: 'true' });
  const body = { phone_number: '0123456789', password: 'password123' };
  t.equal((await register(app, body)).statusCode, 201, 'what the inherited examples register with');
  t.equal((await logIn(app, body)).statusCode, 200);
  t.same(refusals(await register(app, { phone_number: nextNumber(), password: 'passwor' })), [
    '/password password_too_short',
  ]);
});

t.test('A7 PASSWORD_LENGTH_MIN sets the shortest password', async (t) => {
  const { app } = await startAuth(t, { PASSWORD_LENGTH_MIN: '15' });
  const short = await register(app, { phone_number: nextNumber(), password: 'vkqzjwhxr vkqz' });
  t.same(refusals(short), ['/password password_too_short']);
  t.match(problemOf(short).errors, [{ detail: /15/ }]);
  t.equal((await register(app, { phone_number: nextNumber(), password: 'vkqzjwhxr vkqzj' })).statusCode, 201);
});
