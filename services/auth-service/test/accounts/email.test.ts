// If this breaks, people cannot leave their e-mail address out, two accounts share one address, or an address is kept
// that no mail server would know.
//
// The rules: an address is optional, and null is the same as none. Its domain is folded to lower case, its local part
// keeps its case (RFC 5321 section 2.4: only its mail server knows whether case matters there). Two accounts cannot
// have the same address; any number can have none.
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { createAccount, nextNumber, problemOf, refusals, register } from '../requests.ts';

const { app, database } = await startAuth(t);

t.test('A9 absent and null are no address', async (t) => {
  for (const body of [{}, { email: null }, {}, { email: null }]) {
    const answer = await register(app, { phone_number: nextNumber(), password: GOOD_PASSWORD, ...body });
    t.equal(answer.statusCode, 201, JSON.stringify(body));
    t.notMatch(answer.json(), { email: /.*/ });
  }
  t.strictSame(await database.query('select email from users'), Array(4).fill({ email: null }));
});

t.test('A9 a valid address is kept, its domain in lower case', async (t) => {
  const table: [string, string][] = [
    ['grace@example.com', 'grace@example.com'],
    ['Ada.Lovelace@EXAMPLE.Com', 'Ada.Lovelace@example.com'],
    ['a@b.co', 'a@b.co'],
    ["o'hara+tag=1/x@mail.example.museum", "o'hara+tag=1/x@mail.example.museum"],
    ['user@xn--bcher-kva.example', 'user@xn--bcher-kva.example'],
    ['1@2.3com', '1@2.3com'],
    [`${'l'.repeat(64)}@example.com`, `${'l'.repeat(64)}@example.com`],
    [`a@${'d'.repeat(63)}.com`, `a@${'d'.repeat(63)}.com`],
  ];
  for (const [written, kept] of table) {
    const { user_id: id } = await createAccount(app, { email: written });
    t.same(await database.query('select email from users where id = $1', [id]), [{ email: kept }], written);
  }
});

t.test('A9 what is no address is refused at /email', async (t) => {
  const refused = [
    'ada',
    'ada@',
    '@example.com',
    'ada@example',
    'ada@@example.com',
    'ada@example..com',
    '.ada@example.com',
    'ada.@example.com',
    'a..da@example.com',
    'ada@-example.com',
    'ada@example-.com',
    'ada@example.com.',
    'ada@exam_ple.com',
    'ada @example.com',
    ' ada@example.com',
    'ada@example.com ',
    'ada@example.com\n',
    'ada@example.com\r\nBcc: all@example.com',
    'ada@example.com,bob@example.com',
    'Ada <ada@example.com>',
    '"ada"@example.com',
    'ada(comment)@example.com',
    'ada@[127.0.0.1]',
    'adä@example.com',
    'ada@bücher.example',
    'mailto:ada@example.com',
    `${'l'.repeat(65)}@example.com`,
    `a@${'d'.repeat(64)}.com`,
  ];
  for (const email of refused) {
    const answer = await register(app, { phone_number: nextNumber(), password: GOOD_PASSWORD, email });
    t.equal(answer.statusCode, 400, JSON.stringify(email));
    t.same(refusals(answer), ['/email invalid_email']);
  }
});

t.test('A9 an address is one account’s, whatever the case of its domain', async (t) => {
  await createAccount(app, { email: 'ada@example.com' });
  for (const email of ['ada@example.com', 'ada@EXAMPLE.com', 'ada@Example.Com']) {
    const answer = await register(app, { phone_number: nextNumber(), password: GOOD_PASSWORD, email });
    t.equal(answer.statusCode, 409, email);
    t.equal(problemOf(answer).code, 'email_taken');
    t.same(refusals(answer), ['/email email_taken']);
  }
  await createAccount(app, { email: 'Ada@example.com' });
  t.same(await database.query("select email from users where lower(email) = 'ada@example.com' order by id"), [
    { email: 'ada@example.com' },
    { email: 'Ada@example.com' },
  ]);
  await t.rejects(
    database.query("insert into users (phone_number_e164, phone_number, email) values ('+33199', 'x', 'ada@example.com')"),
    { code: '23505', constraint: 'users_email_unique' },
    'the database itself refuses a second one',
  );
});

t.test('A9 with number and address both taken the number is named', async (t) => {
  const one = await createAccount(app, { email: 'one@example.com' });
  await createAccount(app, { email: 'two@example.com' });
  const answer = await register(app, {
    phone_number: one.phone_number,
    password: GOOD_PASSWORD,
    email: 'two@example.com',
  });
  t.equal(answer.statusCode, 409);
  t.same(refusals(answer), ['/phone_number phone_number_taken']);
});
