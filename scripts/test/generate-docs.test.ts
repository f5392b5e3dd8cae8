// If this breaks, the documentation says what the source said some time ago, and nobody is told.
import { execFile } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { test } from 'tap';
import { settings } from '../../services/auth-service/src/config.ts';
import { renderSettings } from '../docs/environment.ts';
import { localStackSettings } from '../docs/local-stack-settings.ts';
import { replaceSection } from '../docs/markdown.ts';
import { generateDocuments, MEND_COMMAND, renderDocuments } from '../generate-docs.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

interface Result {
  readonly exitCode: number;
  readonly output: string;
}

/** The check as `npm test` runs it. */
function runCheck(directory: string): Promise<Result> {
  const flags = ['--conditions=@infrasignal/source', '--import', 'tsx'];
  const args = [...flags, 'scripts/generate-docs.ts', '--check', '--directory', directory];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

function copyDocuments(): string {
  const directory = t.testdir({});
  cpSync(join(ROOT, 'docs'), directory, { recursive: true });
  return directory;
}

test('a document that says something else than the source is named, and mended by the command', async (t) => {
  const directory = copyDocuments();
  t.equal(await generateDocuments(directory, false), 0);
  const path = join(directory, 'environment.md');
  const fresh = readFileSync(path, 'utf8');
  const stale = fresh.replace('Address to listen on.', 'Address that it used to listen on.');
  t.not(stale, fresh);
  writeFileSync(path, stale);

  const check = await runCheck(directory);
  t.equal(check.exitCode, 1);
  t.match(check.output, '  docs/environment.md\n');
  t.notMatch(check.output, 'docs/errors.md');
  t.match(check.output, MEND_COMMAND);
  t.equal(readFileSync(path, 'utf8'), stale, 'a check writes nothing');

  t.equal(await generateDocuments(directory, false), 0);
  t.equal(readFileSync(path, 'utf8'), fresh);
  t.strictSame(await runCheck(directory), { exitCode: 0, output: '' });
});

test('a changed description of a setting changes the document', async (t) => {
  const port = { ...settings.port, description: 'Another text.' };
  const changed = renderSettings({ ...settings, port });
  t.not(changed, renderSettings(settings));
  t.match(changed, 'Another text.');
});

test('the same source makes the same documents', async (t) => {
  const read = (path: string): string => readFileSync(join(ROOT, 'docs', path), 'utf8');
  t.strictSame(await renderDocuments(read), await renderDocuments(read));
});

test('no document shows the default of a secret', async (t) => {
  const secretKey = { ...settings.secretKey, fallback: 'canary-of-a-secret' };
  t.notMatch(renderSettings({ secretKey }), 'canary');
});

test('every variable that the local stack is said to read occurs in its source', async (t) => {
  const folder = join(ROOT, 'packages/local-stack/src');
  const source = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  for (const { name } of localStackSettings) t.match(source, new RegExp(`\\b${name}\\b`));
});

test('a generated part without its markers is an error, not a part that is left out', async (t) => {
  t.throws(() => replaceSection('text', 'catalogue', 'table'), /markers/);
});
