// If this breaks, an export that came out of a spreadsheet, a shell or another system is misread: users are left out in
// silence, or get the fields of the user on the line before.
import { createTestDirectory } from '@infrasignal/testkit';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { defaultFieldNames, type FieldNames, type SourceFields } from '../../src/features/imports/former-user.ts';
import { SourceError, type SourceFormat, type SourceRecord } from '../../src/features/imports/sources/source.ts';
import { openUserFile } from '../../src/features/imports/sources/user-file.ts';

const directory = createTestDirectory(tap);

interface Reading {
  readonly format: SourceFormat;
  readonly records: readonly SourceRecord[];
}

async function read(
  content: string | Buffer,
  options: { names?: FieldNames; model?: string; format?: SourceFormat } = {},
): Promise<Reading> {
  const path = join(directory, 'users');
  writeFileSync(path, content);
  const { names = defaultFieldNames, model = null, format = null } = options;
  const file = await openUserFile(path, { format, names, model });
  let bytes = 0;
  const records: SourceRecord[] = [];
  for await (const record of file.records((count) => void (bytes += count))) records.push(record);
  if (bytes !== file.bytes) throw new Error(`${bytes} of ${file.bytes} bytes were told`);
  return { format: file.format, records };
}

const user = (place: number, fields: SourceFields): SourceRecord => ({ place, fields });

test('CSV: commas, semicolons, tabs; any line ends; a byte order mark', async (t) => {
  const expected = {
    format: 'csv',
    records: [
      user(2, { id: '1', phone_number: '0612345601', password: 'a' }),
      user(3, { id: '2', phone_number: '0612345602', password: 'b' }),
    ],
  };
  const lines = ['id,phone_number,password', '1,0612345601,a', '2,0612345602,b'];
  for (const delimiter of [',', ';', '\t']) {
    for (const end of ['\n', '\r\n', '\r']) {
      for (const mark of ['', '\ufeff']) {
        const text = mark + lines.map((line) => line.replaceAll(',', delimiter)).join(end);
        t.strictSame(await read(text), expected, JSON.stringify([delimiter, end, mark]));
        t.strictSame(await read(text + end), expected);
      }
    }
  }
});

test('CSV: quotes hold delimiters, quotes and line breaks, and lines are counted on', async (t) => {
  const text = [
    'phone_number;password;last_name',
    '0612345601;"a;b";"say ""hi"""',
    '0612345602;c;"two',
    'lines"',
    '',
    '0612345603; d ;',
  ].join('\r\n');
  t.strictSame((await read(text)).records, [
    user(2, { phone_number: '0612345601', password: 'a;b', last_name: 'say "hi"' }),
    user(3, { phone_number: '0612345602', password: 'c', last_name: 'two\r\nlines' }),
    user(6, { phone_number: '0612345603', password: ' d ', last_name: '' }),
  ]);
});

test('CSV: a line with another number of columns is refused, its neighbours are not', async (t) => {
  const { records } = await read('phone_number,password\n1,a\n2\n3,c,x\n4,d\n');
  t.match(records, [
    user(2, { phone_number: '1' }),
    { place: 3, refusal: { reason: 'wrong_columns', detail: '1 instead of 2' } },
    { place: 4, refusal: { reason: 'wrong_columns' } },
    user(5, { phone_number: '4' }),
  ]);
});

test('files that cannot be read as a whole say what is wrong', async (t) => {
  const broken: [string | Buffer, RegExp, Parameters<typeof read>[1]?][] = [
    ['', /empty/],
    [' \n\ufeff\n', /empty/],
    ['id,name\n1,Ada\n', /no column phone_number or username, but: id, name.*--map phone_number=/],
    ['1,0612345601,a\n2,0612345602,b\n', /no column phone_number/],
    ['phone_number,email\n0612345601,a\n', /no column password/],
    ['phone_number,password,email,email\n', /“email” twice/],
    ['phone_number,password\n1,a\n', /no column joined/, { names: { ...defaultFieldNames, date_joined: ['joined'] } }],
    ['phone_number,password\n1,a\n2,"b"c\n3,d\n', /no well-formed CSV.* line 3/],
    ['phone_number,password\n1,a\n2,"b\n3,d\n', /no well-formed CSV/],
    [`phone_number,password\n1,${'x'.repeat(70_000)}\n2,b\n`, /no well-formed CSV.* line 2/],
    [Buffer.from('phone_number,password\n1,Am\xe9lie\n', 'latin1'), /not UTF-8 \(at line 1 or soon after\).*iconv/],
    [Buffer.from('\ufeffphone_number,password\n1,a\n', 'utf16le'), /not UTF-8/],
    ['[{"id": 1}, {"id":', /no well-formed JSON array, after record 1/],
    ['[{"id": 1}, {id: 2}]', /no well-formed JSON array/],
    ['[{"id": 1}] and more', /no well-formed JSON array/],
    [
      '[{"model":"a.user","pk":1,"fields":{"phone_number":"1","password":"x"}},' +
        '{"model":"b.member","pk":1,"fields":{"username":"1","password":"x"}}]',
      /a\.user and b\.member: choose with --model/,
    ],
  ];
  for (const [content, message, options] of broken) {
    const error = await read(content, options).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    t.type(error, SourceError, String(content).slice(0, 60));
    t.match(String(error), message);
  }
  const nowhere = openUserFile(join(directory, 'nowhere'), { format: null, names: defaultFieldNames, model: null });
  await t.rejects(nowhere, { message: /ENOENT/ });
  const folder = openUserFile(directory, { format: null, names: defaultFieldNames, model: null });
  await t.rejects(folder, { message: /is no file/ });
});

test('JSON lines: a broken, an endless and an odd line are refused alone', async (t) => {
  const lines = [
    '{"phone_number":"1"}',
    '{"phone_number":',
    '',
    '[1]',
    `{"phone_number":"${'x'.repeat(200_000)}"}`,
    '"text"',
    '{"phone_number":"7"}\r',
  ];
  const { format, records } = await read(`\ufeff${lines.join('\n')}`);
  t.equal(format, 'json_lines');
  t.strictSame(records, [
    user(1, { phone_number: '1' }),
    { place: 2, refusal: { reason: 'not_json' } },
    { place: 4, refusal: { reason: 'not_a_user' } },
    { place: 5, refusal: { reason: 'too_long' } },
    { place: 6, refusal: { reason: 'not_a_user' } },
    user(7, { phone_number: '7' }),
  ]);
});

test('characters that lie on two sides of a piece of the file arrive whole', async (t) => {
  const name = 'é😀'.repeat(5_000);
  const lines = Array.from({ length: 20 }, (_, at) => JSON.stringify({ phone_number: String(at), name }));
  const { records } = await read(lines.join('\n'));
  t.equal(records.length, 20);
  t.ok(records.every((record) => 'fields' in record && record.fields.name === name));
});

test('dumps: objects of other models are passed over, with and without a key', async (t) => {
  const fields = { phone_number: '1', password: 'x' };
  const dump = [
    { model: 'auth.group', pk: 1, fields: { name: 'editors' } },
    { model: 'accounts.user', pk: 7, fields },
    { model: 'accounts.user', fields },
    fields,
    null,
  ];
  const expected = [
    { place: 1, isOther: true },
    user(2, { ...fields, pk: 7 }),
    user(3, fields),
    user(4, fields),
    { place: 5, refusal: { reason: 'not_a_user' } },
  ];
  for (const text of [JSON.stringify(dump), `\n ${JSON.stringify(dump, null, 2)}\n`]) {
    t.strictSame(await read(text), { format: 'json_array', records: expected });
  }
  const lines = dump.map((entry) => JSON.stringify(entry)).join('\n');
  t.strictSame((await read(lines)).records, expected, 'dumpdata --format jsonl');
  const { records } = await read(JSON.stringify(dump), { model: 'Auth.Group' });
  t.match(records.slice(0, 2), [user(1, { name: 'editors' }), { place: 2, isOther: true }]);
  t.strictSame((await read('[]')).records, []);
});
