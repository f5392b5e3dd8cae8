// If this breaks, people are imported with a number, an address or a date that is not theirs; or one line that is wrong
// stops the import of everybody.
import t from 'tap';
import {
  defaultFieldNames,
  readFormerUser,
  type FormerUser,
  type SourceFields,
} from '../../src/features/imports/former-user.ts';

const HASH = 'pbkdf2_sha256$260000$1O5H3tFFogh4pnOX7p8Vbh$gFFdfI8L2RGg2xlvcw5euP4wEvLmXOwQKNtKG1Motak=';
const A22 = 'A'.repeat(22);

function read(fields: SourceFields): ReturnType<typeof readFormerUser> {
  return readFormerUser({ phone_number: '0612345678', password: HASH, ...fields }, defaultFieldNames, 'FR');
}

function accept(fields: SourceFields): FormerUser {
  const result = read(fields);
  if ('refusal' in result) throw new Error(`refused: ${JSON.stringify(result)}`);
  return result;
}

t.test('a user with everything', async (t) => {
  const fields = {
    id: 7,
    phone_number: '06 12 34 56 78',
    email: 'Ada@EXAMPLE.com',
    date_joined: '2021-03-01T09:30:00.123Z',
    last_login: '2024-05-06 07:08:09.123456+02',
    is_active: false,
    is_staff: true,
    is_superuser: true,
    groups: [],
  };
  t.strictSame(accept(fields), {
    formerId: '7',
    phoneNumberE164: '+33612345678',
    phoneNumber: '06 12 34 56 78',
    email: 'Ada@example.com',
    hasInvalidEmail: false,
    passwordHash: HASH,
    createdAt: new Date('2021-03-01T09:30:00.123Z'),
    lastLoginAt: new Date('2024-05-06T05:08:09.123Z'),
    isDisabled: true,
    isStaff: true,
  });
});

t.test('what may be absent, and says nothing', async (t) => {
  const nothing = {
    formerId: null,
    email: null,
    hasInvalidEmail: false,
    createdAt: null,
    lastLoginAt: null,
    isDisabled: false,
    isStaff: false,
  };
  t.match(accept({}), nothing);
  t.match(accept({ id: '', email: '', date_joined: '', last_login: '', is_active: '', is_staff: '' }), nothing);
  t.match(accept({ id: null, email: null, date_joined: null, last_login: null, is_active: null }), nothing);
});

t.test('the names that Django has for the same', async (t) => {
  const fields = { username: '+33612345678', pk: 12, password: HASH };
  t.match(readFormerUser(fields, defaultFieldNames, 'FR'), { formerId: '12', phoneNumber: '+33612345678' });
  const both = { username: 'ada', phone_number: '0612345678', password: HASH };
  t.match(readFormerUser(both, defaultFieldNames, 'FR'), { phoneNumber: '0612345678' });
  const names = { ...defaultFieldNames, phone_number: ['mobile'] };
  t.match(readFormerUser({ ...both, mobile: '0698765432' }, names, 'FR'), { phoneNumber: '0698765432' });
});

t.test('accounts without a password', async (t) => {
  for (const password of ['', null, '!', '!iA21lk4XqD4KHdeMLE7l5rImRciGw5E1yHyBQXEu']) {
    t.equal(accept({ password }).passwordHash, null, String(password));
  }
});

t.test('an address that is none costs the address, not the user', async (t) => {
  t.match(accept({ email: 'no address' }), { email: null, hasInvalidEmail: true });
  t.match(accept({ email: `${'x'.repeat(300)}@example.com` }), { email: null, hasInvalidEmail: true });
});

t.test('booleans and times in the ways of databases and spreadsheets', async (t) => {
  for (const yes of [true, 'true', 'True', 't', '1', 1, 'YES']) {
    t.equal(accept({ is_staff: yes }).isStaff, true, String(yes));
  }
  for (const no of [false, 'false', 'FALSE', 'f', '0', 0, 'n']) {
    t.equal(accept({ is_staff: no }).isStaff, false, String(no));
  }
  const noon = '2021-03-01T12:00:00.000Z';
  for (const text of [
    '2021-03-01T12:00:00Z',
    '2021-03-01 12:00:00',
    '2021-03-01 12:00:00+00:00',
    '2021-03-01 12:00:00.000000+00',
    '2021-03-01T14:00:00+0200',
    '2021-03-01 12:00:00 UTC',
  ]) {
    t.equal(accept({ date_joined: text }).createdAt?.toISOString(), noon, text);
  }
});

t.test('what is refused, and why', async (t) => {
  const refusals: [SourceFields, string][] = [
    [{ phone_number: null }, 'missing_phone_number'],
    [{ phone_number: '' }, 'missing_phone_number'],
    [{ phone_number: '12' }, 'invalid_phone_number'],
    [{ phone_number: 'ada' }, 'invalid_phone_number'],
    [{ phone_number: '0612345678\0' }, 'invalid_phone_number'],
    [{ phone_number: `0612345678${' '.repeat(60)}` }, 'invalid_phone_number'],
    [{ phone_number: 612345678 }, 'invalid_field'],
    [{ email: 5 }, 'invalid_field'],
    [{ password: ['x'] }, 'invalid_field'],
    [{ password: 'bc9bafb6ad28cb84bbd9b9fd1bf913e5' }, 'password_unsalted'],
    [{ password: 'md5$salt$bc9bafb6ad28cb84bbd9b9fd1bf913e5' }, 'password_too_weak'],
    [{ password: `argon2$argon2id$v=19$m=4194304,t=2,p=8$${A22}$${A22}` }, 'password_too_expensive'],
    [{ password: HASH.slice(0, -4) }, 'password_malformed'],
    [{ password: `pbkdf2_sha256$260000$1O5H3tFFogh4\0nOX7p8Vbh$${HASH.split('$')[3]}` }, 'password_malformed'],
    [{ password: 'x'.repeat(100_000) }, 'password_malformed'],
    [{ password: 'plain text' }, 'password_unknown_format'],
    [{ is_active: 'perhaps' }, 'invalid_field'],
    [{ is_active: {} }, 'invalid_field'],
    [{ date_joined: '01/03/2021' }, 'invalid_field'],
    [{ date_joined: '2021-13-01T00:00:00Z' }, 'invalid_field'],
    [{ date_joined: '0000-01-01T00:00:00Z' }, 'invalid_field'],
    [{ last_login: 1_614_591_000 }, 'invalid_field'],
    [{ id: {} }, 'invalid_id'],
    [{ id: 'x'.repeat(65) }, 'invalid_id'],
    [{ id: 'a\0b' }, 'invalid_id'],
  ];
  for (const [fields, reason] of refusals) {
    t.match(read(fields), { refusal: { reason } }, JSON.stringify(fields).slice(0, 80));
  }
});
