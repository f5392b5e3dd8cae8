import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PROJECT_ROOT, TOOLS_DIRECTORY } from '@infrasignal/local-stack';
import * as esbuild from 'esbuild';

/**
 * Sources of the workspace that others stand in for, by absolute path: another release, or a part broken on purpose. A
 * stand-in may import what it replaces, and what lies beside it.
 */
export type StandIns = Readonly<Record<string, string>>;

/**
 * What goes into the file: only what is `own`, the service and the packages of this workspace, which leaves a profiler
 * the names of the other packages; or the `whole`, but for {@link LEFT_PACKAGES}, which starts in half the time again.
 */
export type ServiceBuild = 'own' | 'whole';

export interface BuildOptions {
  readonly build: ServiceBuild;
  readonly standIns?: StandIns | undefined;
}

/**
 * Stay where they are in any case: what is compiled for this machine, and what modules are loaded to change before the
 * service, which have to meet the same ones.
 */
const LEFT_PACKAGES = /\/node_modules\/(?:@node-rs\/|@nats-io\/|pg\/)/;

const DIRECTORY = join(TOOLS_DIRECTORY, 'built-services');

/** What nobody used for a day is of other sources. */
const UNUSED_MS_MAX = 24 * 3_600 * 1_000;

const builds = new Map<string, Promise<string>>();

/**
 * Puts the sources of a service, and of the packages that it uses, into one file of JavaScript: it starts with a
 * fraction of the work of the sources, which every process compiles anew. It stays for other processes to use for as long
 * as no source has changed.
 *
 * @param entry path of the service's `server.ts`
 * @returns path of the built file
 */
export function buildService(entry: string, { build, standIns = {} }: BuildOptions): Promise<string> {
  const key = JSON.stringify([entry, build, standIns]);
  const known = builds.get(key);
  if (known !== undefined) return known;
  const built = findOrBuild(entry, build, standIns);
  builds.set(key, built);
  return built;
}

async function findOrBuild(entry: string, build: ServiceBuild, standIns: StandIns): Promise<string> {
  for (;;) {
    const path = choosePath(entry, build, standIns);
    if (existsSync(path)) {
      utimesSync(path, new Date(), new Date());
      return path;
    }
    const draft = `${path}.${process.pid}`;
    await buildOnce(draft, entry, build, standIns);
    // A source that changed meanwhile may be in it or not.
    const isCurrent = choosePath(entry, build, standIns) === path;
    if (isCurrent) renameSync(draft, path);
    else rmSync(draft);
    removeUnused();
  }
}

/** Named after everything that goes into it. */
function choosePath(entry: string, build: ServiceBuild, standIns: StandIns): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([PROJECT_ROOT, process.version, entry, build, standIns]));
  for (const path of listInputs(standIns)) hash.update(`\n${path}\n`).update(readFileSync(path));
  mkdirSync(DIRECTORY, { recursive: true });
  return join(DIRECTORY, `${basename(dirname(dirname(entry)))}-${hash.digest('hex').slice(0, 24)}.mjs`);
}

/** All sources of the workspace, this file among them, and what says which versions of other packages they use. */
function listInputs(standIns: StandIns): string[] {
  const packages = ['packages', 'services'].flatMap((group) =>
    readdirSync(join(PROJECT_ROOT, group)).map((name) => join(PROJECT_ROOT, group, name)),
  );
  const manifests = packages.map((directory) => join(directory, 'package.json')).filter((path) => existsSync(path));
  const folders = [...packages.map((directory) => join(directory, 'src')), ...Object.values(standIns).map(dirname)];
  const sources = folders.filter((path) => existsSync(path)).flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name)),
  );
  return [join(PROJECT_ROOT, 'pnpm-lock.yaml'), ...manifests, ...sources].sort();
}

function removeUnused(): void {
  for (const name of readdirSync(DIRECTORY)) {
    const path = join(DIRECTORY, name);
    const usedAtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - usedAtMs > UNUSED_MS_MAX) rmSync(path, { force: true });
  }
}

async function buildOnce(outfile: string, entry: string, build: ServiceBuild, standIns: StandIns): Promise<void> {
  // CommonJS in there asks for modules of Node with it.
  const requireHere = `import { createRequire as createRequireHere } from 'node:module';
    const require = createRequireHere(${JSON.stringify(pathToFileURL(entry).href)});`;
  await esbuild.build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: `node${process.versions.node}`,
    conditions: ['@infrasignal/source'],
    plugins: [replaceSources(standIns), leavePackages(build === 'own' ? /\/node_modules\// : LEFT_PACKAGES), keepPlaces],
    banner: build === 'own' ? {} : { js: requireHere },
    logLevel: 'warning',
  });
}

const isResolved = Symbol('resolved'); // by a plugin of ours, which asks esbuild for the rest

function replaceSources(standIns: StandIns): esbuild.Plugin {
  return {
    name: 'replace sources',
    setup: (build) => {
      if (Object.keys(standIns).length === 0) return;
      build.onResolve({ filter: /^\./ }, async ({ path, kind, pluginData, ...from }) => {
        if (pluginData === isResolved) return undefined;
        const found = await build.resolve(path, { kind, ...from, pluginData: isResolved });
        const standIn = standIns[found.path];
        return standIn === undefined || standIn === from.importer ? found : { path: standIn };
      });
    },
  };
}

/** By their absolute path: the built file lies where none of them would be found. */
function leavePackages(left: RegExp): esbuild.Plugin {
  return {
    name: 'leave packages',
    setup: (build) => {
      build.onResolve({ filter: /^[^./]/ }, async ({ path, kind, pluginData, ...from }) => {
        if (kind === 'entry-point' || pluginData === isResolved) return undefined;
        if (path.startsWith('node:')) return { external: true };
        const found = await build.resolve(path, { kind, ...from, pluginData: isResolved });
        // A package may ask for one that is not installed, and do without.
        if (found.errors.length > 0) return { path, external: true };
        return left.test(found.path) ? { path: found.path, external: true } : found;
      });
    },
  };
}

/** Migrations, package.json and the like are found from the source's own place. */
const keepPlaces: esbuild.Plugin = {
  name: 'keep places',
  setup: (build) => {
    build.onLoad({ filter: /\.(?:ts|[cm]?js)$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const isDeclared = /\b(?:const|let|var) __(?:dir|file)name\b/.test(source); // from import.meta.url
      const contents = source
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href))
        .replaceAll(/\b__(dir|file)name\b/g, (name, kind) => (isDeclared ? name : JSON.stringify(kind === 'dir' ? dirname(path) : path)));
      return { loader: path.endsWith('.ts') ? 'ts' : 'js', contents };
    });
  },
};
