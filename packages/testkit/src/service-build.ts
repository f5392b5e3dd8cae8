import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { guardPath } from '@infrasignal/local-stack';
import * as esbuild from 'esbuild';

/**
 * Sources of the workspace that others stand in for, by absolute path: another release, or a part broken on purpose. A
 * stand-in may import what it replaces.
 */
export type StandIns = Readonly<Record<string, string>>;

let directory: string | undefined;
const builds = new Map<string, Promise<string>>();

/**
 * Puts the sources of a service, and of the packages of this workspace that it uses, into one file of JavaScript: it
 * starts in half the time and with a third of the work of the sources, which every process compiles anew. Packages
 * from outside stay where they are, so that a module loaded before the service meets the same ones.
 *
 * @param entry path of the service's `server.ts`
 * @returns path of the built file, made once per process and removed when this process is gone
 */
export function buildService(entry: string, standIns: StandIns = {}): Promise<string> {
  const key = JSON.stringify([entry, standIns]);
  const known = builds.get(key);
  if (known !== undefined) return known;
  const built = buildOnce(entry, standIns, builds.size);
  builds.set(key, built);
  return built;
}

async function buildOnce(entry: string, standIns: StandIns, number: number): Promise<string> {
  const outfile = join(ensureDirectory(), `${basename(dirname(dirname(entry)))}-${number}.mjs`);
  await esbuild.build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: `node${process.versions.node}`,
    conditions: ['@infrasignal/source'],
    plugins: [replaceSources(standIns), leaveOtherPackages, keepModuleUrls],
    logLevel: 'warning',
  });
  return outfile;
}

function ensureDirectory(): string {
  if (directory === undefined) {
    directory = mkdtempSync(join(tmpdir(), 'infrasignal-built-'));
    guardPath(directory); // never forgotten: this process may start a service until its very end
  }
  return directory;
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
const leaveOtherPackages: esbuild.Plugin = {
  name: 'leave other packages',
  setup: (build) => {
    build.onResolve({ filter: /^[^./]/ }, async ({ path, kind, pluginData, ...from }) => {
      if (kind === 'entry-point' || pluginData === isResolved) return undefined;
      if (path.startsWith('node:')) return { external: true };
      const found = await build.resolve(path, { kind, ...from, pluginData: isResolved });
      return found.path.includes('/node_modules/') ? { path: found.path, external: true } : found;
    });
  },
};

/** Migrations and package.json are found from the source's own place. */
const keepModuleUrls: esbuild.Plugin = {
  name: 'keep the URLs of modules',
  setup: (build) => {
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)),
    }));
  },
};
