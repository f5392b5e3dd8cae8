// If this breaks, a client that branches on an error's code does the wrong thing, or old clients lose the texts that
// they show beside their fields.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { test } from 'tap';
import { Compile } from 'typebox/compile';
import { commonErrors, defineErrors, ProblemSchema, toProblem, type ErrorDefinition } from '../src/index.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Every source file of every package and service in which errors are defined. */
function findErrorFiles(): string[] {
  const folders = ['packages', 'services'].flatMap((name) =>
    readdirSync(join(ROOT, name)).map((entry) => join(ROOT, name, entry, 'src')),
  );
  const files = folders
    .filter((folder) => statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    .flatMap((folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)));
  return files.filter((file) => file.endsWith('.ts') && readFileSync(file, 'utf8').includes('= defineErrors('));
}

function isTable(value: unknown): value is Record<string, ErrorDefinition> {
  if (typeof value !== 'object' || value === null) return false;
  const rows: unknown[] = Object.values(value);
  return rows.length > 0 && rows.every((row) => typeof row === 'object' && row !== null && 'code' in row && 'status' in row);
}

async function loadTables(): Promise<[string, Record<string, ErrorDefinition>][]> {
  const tables: [string, Record<string, ErrorDefinition>][] = [];
  for (const file of findErrorFiles()) {
    const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    for (const [name, value] of Object.entries(module)) {
      if (isTable(value)) tables.push([`${file.slice(ROOT.length)} ${name}`, value]);
    }
  }
  return tables;
}

test('A32 a code means one thing in the whole system', async (t) => {
  const tables = await loadTables();
  t.ok(tables.length >= 7, `${tables.length} tables`);
  const definedIn = new Map<string, string>();
  for (const [where, table] of tables) {
    for (const [key, { code, status, title, detail }] of Object.entries(table)) {
      t.equal(code, key);
      t.match(code, /^[a-z]+(_[a-z]+)*$/, where);
      t.equal(definedIn.get(code) ?? where, where, `${code} is defined once`);
      definedIn.set(code, where);
      t.ok(Number.isInteger(status) && status >= 400 && status <= 599, `${code}: ${status}`);
      t.ok(title.length > 0 && title.length < 60 && !title.endsWith('.'), `${code}: a title`);
      t.match(detail, /^.+[.]$/, `${code}: a sentence`);
    }
  }
});

test('A32 a table of errors is written once and changed by nobody', async (t) => {
  const errors = defineErrors({ not_here: [404, 'Not here', 'It is not here.'] });
  t.strictSame(errors.not_here, { code: 'not_here', status: 404, title: 'Not here', detail: 'It is not here.' });
  t.throws(() => Object.assign(errors, { other: {} }), TypeError);
});

test('A32 the body of a problem', async (t) => {
  const check = Compile(ProblemSchema);
  const bare = toProblem(commonErrors.not_found, { instance: '/nowhere', requestId: 'an-id' });
  t.ok(check.Check(bare));
  t.strictSame(bare, {
    type: 'urn:infrasignal:error:not_found',
    title: 'Not found',
    status: 404,
    detail: 'There is no such resource.',
    code: 'not_found',
    instance: '/nowhere',
    request_id: 'an-id',
  });
  const errors = [
    { pointer: '/phone_number', code: 'a', detail: 'One.' },
    { pointer: '/phone_number', code: 'b', detail: 'Two.' },
    { pointer: '/list/0/name', code: 'c', detail: 'Three.' },
    { pointer: '', code: 'd', detail: 'Four.' },
    { pointer: '/a~1b~0c', code: 'e', detail: 'Five.' },
    { pointer: '/constructor', code: 'f', detail: 'Six.' },
  ];
  const full = toProblem(commonErrors.invalid_request, { instance: '/', requestId: 'x', detail: 'Other.', errors });
  t.ok(check.Check(full));
  t.match(full, { detail: 'Other.', errors });
  t.strictSame(full.phone_number, ['One.', 'Two.'], 'the inherited arrays, by the first part of the pointer');
  t.strictSame(full.list, ['Three.']);
  t.strictSame(full.non_field_errors, ['Four.']);
  t.strictSame(full['a/b~c'], ['Five.']);
  t.ok(Object.hasOwn(full, 'constructor'));
});

test('A32 no field name can take the place of a member of the problem', async (t) => {
  const members = ['type', 'title', 'status', 'detail', 'code', 'instance', 'request_id', 'errors'];
  const errors = [...members, '__proto__'].map((name) => ({ pointer: `/${name}`, code: 'x', detail: 'Shadow.' }));
  const problem = toProblem(commonErrors.invalid_request, { instance: '/i', requestId: 'r', errors });
  t.strictSame(Object.keys(problem).sort(), [...members].sort());
  t.match(problem, { status: 400, code: 'invalid_request', instance: '/i', request_id: 'r' });
  t.equal(Object.getPrototypeOf(problem), Object.prototype);
  t.equal(problem.errors?.length, 9, 'they are in errors all the same');
});
