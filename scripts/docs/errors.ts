import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ErrorDefinition } from '../../packages/shared/src/index.ts';
import { code, GENERATED_NOTE, renderTable } from './markdown.ts';

/** A code with the place in the source that defines it. */
interface ListedError extends ErrorDefinition {
  /** For instance `auth-service/sessions`. */
  readonly source: string;
  /** True for codes that only stand in `errors[]`, false for those that a whole answer can have. */
  readonly isFieldCode: boolean;
}

/** Tables of field codes are named `…FieldErrors`. */
function isFieldTable(name: string): boolean {
  return /(^f|F)ieldErrors$/.test(name);
}

function isErrorTable(value: unknown): value is Readonly<Record<string, ErrorDefinition>> {
  if (typeof value !== 'object' || value === null) return false;
  const entries: [string, unknown][] = Object.entries(value);
  return (
    entries.length > 0 &&
    entries.every(
      ([name, entry]) =>
        typeof entry === 'object' && entry !== null && 'status' in entry && 'code' in entry && entry.code === name,
    )
  );
}

/** Every source file that defines errors, found by its call of `defineErrors`. */
function findErrorFiles(root: string): string[] {
  const folders = ['packages', 'services'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(root, group, name, 'src')),
  );
  return folders
    .flatMap((folder) => {
      try {
        return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
      } catch {
        return []; // a package without sources of its own, such as the web page
      }
    })
    .filter((path) => path.endsWith('.ts') && readFileSync(path, 'utf8').includes('= defineErrors('))
    .sort();
}

/** `services/auth-service/src/features/sessions/sessions-errors.ts` → `auth-service/sessions` */
function toSource(root: string, file: string): string {
  const [, owner = ''] = relative(root, file).split(sep);
  const name = basename(file, '.ts').replace(/-(errors|plugin)$/, '');
  return owner === 'shared' ? 'every service' : `${owner}/${name}`;
}

async function collectErrors(root: string): Promise<ListedError[]> {
  const listed: ListedError[] = [];
  for (const file of findErrorFiles(root)) {
    const exported = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    for (const [name, table] of Object.entries(exported)) {
      if (!isErrorTable(table)) continue;
      const isFieldCode = isFieldTable(name);
      listed.push(...Object.values(table).map((entry) => ({ ...entry, source: toSource(root, file), isFieldCode })));
    }
  }
  assertUnique(listed);
  return listed.sort((left, right) => left.status - right.status || (left.code < right.code ? -1 : 1));
}

/** A code that means two things is a code that clients cannot branch on. */
function assertUnique(listed: readonly ListedError[]): void {
  const sources = new Map<string, string>();
  for (const { code: name, source, isFieldCode } of listed) {
    const key = `${String(isFieldCode)} ${name}`;
    const other = sources.get(key);
    if (other !== undefined) throw new Error(`the error code "${name}" is defined by ${other} and by ${source}`);
    sources.set(key, source);
  }
}

/** docs/errors.md, from every table in the source below `root`. */
export async function renderErrors(root: string): Promise<string> {
  const listed = await collectErrors(root);
  const problems = listed.filter(({ isFieldCode }) => !isFieldCode);
  const fields = listed.filter(({ isFieldCode }) => isFieldCode);
  return `${GENERATED_NOTE}

# Error codes

Every error is answered as \`application/problem+json\` (RFC 9457); [http.md](protocol/http.md#errors) describes the
body. Branch on \`code\`: it is never renamed and never reused. \`title\` and \`detail\` are for people and may change.

## Codes of an answer

${renderTable(
  ['Code', 'Status', 'Title', 'Meaning', 'From'],
  problems.map(({ code: name, status, title, detail, source }) => [code(name), String(status), title, detail, source]),
)}

## Codes of a field

These stand in \`errors[]\` beside the \`pointer\` of the field they are about. A code of the table above can stand there
too, for instance \`phone_number_taken\`.

${renderTable(
  ['Code', 'Meaning', 'From'],
  fields.map(({ code: name, detail, source }) => [code(name), detail, source]),
)}
`;
}
