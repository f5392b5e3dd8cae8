// If this breaks, one person gets two accounts by writing the same number in two ways, and each of them hears half of
// the notifications; or somebody else's spelling of a number logs in to a stranger's account.
import t from 'tap';
import { GOOD_PASSWORD, startAuth } from '../auth-fixture.ts';
import { logIn, problemOf, refusals, register } from '../requests.ts';

const SPELLINGS = [
  '+33 1 23 45 67 89',
  '0033123456789',
  '00 33 1 23 45 67 89',
  '0123456789',
  '01.23.45.67.89',
  '01-23-45-67-89',
  '(01) 23 45 67 89',
  ' 01 23 45 67 89 ',
  '+33 (0)1 23 45 67 89',
  'tel:+33-1-23-45-67-89',
  'TEL:+33123456789',
  'tel:0123456789',
  '０１２３４５６７８９',
  '＋３３　１２３４５６７８９',
  '+33\u00a01\u00a023\u00a045\u00a067\u00a089',
  '+33\u20111\u201123456789',
  '٠١٢٣٤٥٦٧٨٩',
];

t.test('A2 every spelling of a number is one account', async (t) => {
  const { app, database } = await startAuth(t);
  const created = await register(app, { phone_number: SPELLINGS[0], password: GOOD_PASSWORD });
  t.equal(created.statusCode, 201);
  for (const spelling of SPELLINGS) {
    const again = await register(app, { phone_number: spelling, password: GOOD_PASSWORD });
    t.equal(again.statusCode, 409, `register ${JSON.stringify(spelling)}`);
    t.equal(problemOf(again).code, 'phone_number_taken');
    t.same(refusals(again), ['/phone_number phone_number_taken']);
    const login = await logIn(app, { phone_number: spelling, password: GOOD_PASSWORD });
    t.equal(login.statusCode, 200, `log in with ${JSON.stringify(spelling)}`);
    t.match(login.json(), { user_id: 1, phone_number: SPELLINGS[0] });
  }
  t.same(await database.query('select phone_number_e164, phone_number from users'), [
    { phone_number_e164: '+33123456789', phone_number: SPELLINGS[0] },
  ]);
});

t.test('A2 every spelling can be the first one', async (t) => {
  const { app, database } = await startAuth(t);
  for (const [at, spelling] of SPELLINGS.entries()) {
    const created = await register(app, { phone_number: spelling, password: GOOD_PASSWORD });
    t.match(created.json(), { phone_number: spelling }, JSON.stringify(spelling));
    t.equal(created.statusCode, 201);
    t.same(await database.query('select id::int, phone_number_e164 as e164 from users'), [
      { id: at + 1, e164: '+33123456789' },
    ]);
    await database.query('delete from users');
  }
});

t.test('A2 a number that cannot be one is refused at /phone_number', async (t) => {
  const { app, database } = await startAuth(t);
  const impossible = [
    ['0', 'too short'],
    ['112', 'an emergency number is nobody’s'],
    ['3631', 'a short number'],
    ['012345678', 'a digit less'],
    ['01234567890', 'a digit more'],
    ['+3312345678', 'a digit less, international'],
    ['+033123456789', 'no country code begins with 0'],
    ['+999123456789', 'no such country'],
    ['++33123456789', 'two plus signs'],
    ['+1 800 FLOWERS', 'letters'],
    ['call 0123456789', 'words before it'],
    ['0123456789 please', 'words after it'],
    ['0123456789\n', 'a line break'],
    ['\t0123456789', 'a tab'],
    ['0123456789 ext. 5', 'an extension'],
    ['0123456789;ext=5', 'an extension as a parameter'],
    ['0123456789;isub=<script>', 'a parameter, which could carry any text to other clients'],
    ['tel:tel:0123456789', 'the scheme twice'],
    ['\u202e0123456789', 'a direction override'],
    ['𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗', 'mathematical digits'],
    ['0123456789,0123456788', 'two numbers'],
    ["' or 1=1 --", 'no number at all'],
  ] as const;
  for (const [phoneNumber, why] of impossible) {
    for (const request of [register, logIn]) {
      const answer = await request(app, { phone_number: phoneNumber, password: GOOD_PASSWORD });
      t.equal(answer.statusCode, 400, `${request.name}: ${why}`);
      t.same(refusals(answer), ['/phone_number invalid_phone_number']);
      t.match(problemOf(answer), { phone_number: [String] }, 'the inherited array too');
    }
  }
  t.same(await database.query('select count(*)::int as count from users'), [{ count: 0 }]);
});

t.test('A2 DEFAULT_REGION reads national numbers', async (t) => {
  const { app, database } = await startAuth(t, { DEFAULT_REGION: 'GB' });
  for (const phoneNumber of ['020 7946 0958', '+33 1 23 45 67 89']) {
    t.equal((await register(app, { phone_number: phoneNumber, password: GOOD_PASSWORD })).statusCode, 201, phoneNumber);
  }
  t.equal((await register(app, { phone_number: '0123456789', password: GOOD_PASSWORD })).statusCode, 400);
  t.equal((await logIn(app, { phone_number: '+442079460958', password: GOOD_PASSWORD })).statusCode, 200);
  const rows = await database.query<{ e164: string }>('select phone_number_e164 as e164 from users order by id');
  t.same(rows.map((row) => row.e164), ['+442079460958', '+33123456789']);
});

t.test('A2 the database itself keeps one row per number and nothing but E.164', async (t) => {
  const { database } = await startAuth(t);
  const insert = (e164: string): Promise<unknown> =>
    database.query('insert into users (phone_number_e164, phone_number) values ($1, $1)', [e164]);
  await insert('+33123456789');
  await t.rejects(insert('+33123456789'), { code: '23505', constraint: 'users_phone_number_e164_unique' });
  const refused = ['', '+', '0123456789', '33123456789', '+033123456', '+33 123456789', '+33123456789\n', '+331234a6789'];
  for (const e164 of [...refused, `+${'1'.repeat(16)}`, '+٣٣١٢٣٤٥٦٧']) {
    await t.rejects(insert(e164), { code: '23514', constraint: 'users_phone_number_e164_form' }, JSON.stringify(e164));
  }
  await insert(`+${'1'.repeat(15)}`);
  await t.rejects(database.query('update users set phone_number_e164 = null'), {
    code: '23514',
    constraint: 'users_person_has_number',
  });
});
