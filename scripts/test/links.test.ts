// If this breaks, a reader follows a link in the documentation and finds nothing.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Folders that hold no documentation of ours. */
const SKIPPED = new Set(['node_modules', 'dist', 'coverage']);

function findFiles(directory: string, extension: RegExp): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return findFiles(path, extension);
    return extension.test(entry.name) ? [path] : [];
  });
}

/** Text without fenced blocks and inline code, in which brackets are not links. */
function withoutCode(text: string): string {
  return text.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, 'code');
}

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.replace(/^```.*?^```/gms, '').matchAll(/^#+ +(.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}

test('every relative link in the documents leads to a file, and every anchor to a heading', async (t) => {
  for (const document of findFiles(ROOT, /\.md$/)) {
    const text = readFileSync(document, 'utf8');
    for (const [, target = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? document : join(dirname(document), path);
      const place = `${relative(ROOT, document)} → ${target}`;
      if (!existsSync(file)) t.fail(place);
      else if (anchor === undefined) t.pass(place);
      else t.ok(anchorsOf(readFileSync(file, 'utf8')).has(anchor), place);
    }
  }
});

test('every document that the source names is there', async (t) => {
  for (const group of ['packages', 'services', 'e2e', 'scripts']) {
    for (const file of findFiles(join(ROOT, group), /\.(ts|mjs|js)$/)) {
      for (const [path] of readFileSync(file, 'utf8').matchAll(/\bdocs\/[a-z0-9/-]+\.md\b/g)) {
        t.ok(existsSync(join(ROOT, path)), `${relative(ROOT, file)} → ${path}`);
      }
    }
  }
});
