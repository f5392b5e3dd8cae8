import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Docker's patterns of a .dockerignore, as far as ours uses them: a path, `*` for everything, `**\/name`. */
function toExpression(pattern: string): RegExp {
  if (pattern === '*') return /./;
  const name = pattern.replace(/^\*\*\//, '');
  if (/[?[\]]/.test(name)) throw new Error(`${pattern} is not understood here`);
  const escaped = name.replaceAll('.', '\\.').replaceAll('*', '[^/]*');
  return new RegExp(`${pattern === name ? '^' : '(^|/)'}${escaped}(/|$)`);
}

/** Which paths a build may read: the last pattern that fits decides, as in Docker. */
export function readDockerignore(root: string): (path: string) => boolean {
  const lines = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n').map((line) => line.trim());
  const rules = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ isKept: line.startsWith('!'), expression: toExpression(line.replace(/^!/, '')) }));
  return (path) => rules.findLast(({ expression }) => expression.test(path))?.isKept ?? true;
}

/** The files of a build's context as a clean clone has them: what git knows or would add, and .dockerignore lets in. */
export function listContext(root: string): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const paths = [...new Set(listed.split('\0').filter((path) => path !== ''))];
  return paths.filter(readDockerignore(root));
}
