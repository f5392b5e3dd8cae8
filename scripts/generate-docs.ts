/**
 * Writes the documents that are generated from the source, or with `--check` says which are out of date. The output
 * depends on the source alone: no time, no machine, no order of directories.
 *
 *   node --conditions=@infrasignal/source --import tsx scripts/generate-docs.ts [--check] [--directory DIR]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { renderCloseCodes } from './docs/close-codes.ts';
import { renderEnvironment } from './docs/environment.ts';
import { renderErrors } from './docs/errors.ts';
import { renderEvents } from './docs/events.ts';
import { renderMetrics } from './docs/metrics.ts';
import { renderPerformance } from './docs/performance.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

export const MEND_COMMAND = 'node --conditions=@infrasignal/source --import tsx scripts/generate-docs.ts';

/** Path below the folder of documents → content. `readDocument` gives the text as it is now, '' for a new file. */
export async function renderDocuments(readDocument: (path: string) => string): Promise<Map<string, string>> {
  return new Map([
    ['environment.md', renderEnvironment()],
    ['errors.md', await renderErrors(ROOT)],
    ['close-codes.md', renderCloseCodes()],
    ['metrics.md', renderMetrics()],
    ['protocol/events.md', renderEvents(readDocument('protocol/events.md'))],
    ...renderPerformance(join(ROOT, 'docs/performance'), readDocument('performance.md')),
  ]);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** @returns the exit code: 1 when `isCheck` and something is out of date */
export async function generateDocuments(directory: string, isCheck: boolean): Promise<number> {
  const documents = await renderDocuments((path) => readIfThere(join(directory, path)));
  const stale = [...documents].filter(([path, content]) => readIfThere(join(directory, path)) !== content);
  if (isCheck) {
    if (stale.length === 0) return 0;
    const names = stale.map(([path]) => `  docs/${path}`).join('\n');
    process.stderr.write(`These documents no longer say what the source says:\n${names}\nMend: ${MEND_COMMAND}\n`);
    return 1;
  }
  for (const [path, content] of stale) writeFileSync(join(directory, path), content);
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, directory: { type: 'string' } } });
  process.exitCode = await generateDocuments(values.directory ?? join(ROOT, 'docs'), values.check === true);
}
