import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One place packages come from: an archive and the suites asked of it. */
export interface AptSource {
  uris: string[];
  suites: string[];
  components: string[];
  signedBy: string | undefined;
}

export interface OsRelease {
  id: string;
  codename: string;
}

export interface SourceCandidate {
  suite: string;
  /** Text of a deb822 `.sources` file. */
  source: string;
}

// Suites whose nats-server is newer than the own one, in the order of age: the oldest that will do is nearest to
// the libraries of the machine. (The package is a Go binary that needs only the C library.)
const NEWER_SUITES: Record<string, readonly string[]> = {
  debian: ['trixie', 'forky', 'sid'],
  ubuntu: ['plucky', 'questing', 'resolute', 'devel'],
};

// Their nats-server is known to be too old (2.9.10 in bookworm, 2.10.7 in noble); not asking saves 10 MB of index.
const TOO_OLD_SUITES = new Set(['buster', 'bullseye', 'bookworm', 'focal', 'jammy', 'noble']);

/** Reads `/etc/os-release`; empty strings where it says nothing. */
export function readOsRelease(path = '/etc/os-release'): OsRelease {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // Not a Linux distribution of the usual kind.
  }
  const read = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  const ids = `${read('ID')} ${read('ID_LIKE')}`.split(/\s+/);
  const id = ids.find((word) => word in NEWER_SUITES) ?? '';
  return { id, codename: read('UBUNTU_CODENAME') || read('DEBIAN_CODENAME') || read('VERSION_CODENAME') };
}

/** Every enabled binary source of the machine's apt, from both kinds of file. */
export function readAptSources(directory = '/etc/apt'): AptSource[] {
  const sources: AptSource[] = [];
  const parts = join(directory, 'sources.list.d');
  for (const path of [join(directory, 'sources.list'), ...listFiles(parts)]) {
    const text = readText(path);
    if (path.endsWith('.list')) sources.push(...parseOneLineSources(text));
    else if (path.endsWith('.sources')) sources.push(...parseDeb822Sources(text));
  }
  return sources;
}

/** The classic format: `deb [signed-by=…] uri suite component…`. */
export function parseOneLineSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line);
    if (match === null) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    sources.push({
      uris: [uri],
      suites: [suite],
      components: components.trim().split(/\s+/),
      signedBy: /signed-by=(\S+)/i.exec(options)?.[1],
    });
  }
  return sources;
}

/** The deb822 format: paragraphs of `Name: value`, continued by lines that begin with a blank. */
export function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const paragraph of withoutComments(text).split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let name = '';
    for (const line of paragraph.split('\n')) {
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match !== null) {
        name = (match[1] ?? '').toLowerCase();
        fields.set(name, match[2] ?? '');
      } else if (name !== '' && /^\s/.test(line)) {
        fields.set(name, `${fields.get(name) ?? ''}\n${line}`);
      }
    }
    const words = (field: string): string[] => (fields.get(field) ?? '').split(/\s+/).filter((word) => word !== '');
    const isEnabled = !/^(no|false|0)$/i.test(fields.get('enabled') ?? 'yes');
    if (!isEnabled || !words('types').includes('deb')) continue;
    sources.push({
      uris: words('uris'),
      suites: words('suites'),
      components: words('components'),
      signedBy: fields.get('signed-by'),
    });
  }
  return sources;
}

/**
 * The distribution's own archive as this machine reaches it (mirror, keyring), asked for the machine's own suite
 * and for newer ones. Empty when none of the sources carries the machine's suite.
 */
export function deriveSources(sources: readonly AptSource[], release: OsRelease): SourceCandidate[] {
  const own = sources.find((source) => source.suites.includes(release.codename) && source.components.includes('main'));
  const newer = NEWER_SUITES[release.id];
  if (own === undefined || newer === undefined) return [];
  const ownIndex = newer.indexOf(release.codename);
  const suites = [release.codename, ...newer.slice(ownIndex + 1)].filter((suite) => !TOO_OLD_SUITES.has(suite));
  const components = release.id === 'ubuntu' ? 'main universe' : 'main';
  return suites.map((suite) => ({
    suite,
    source: [
      'Types: deb',
      `URIs: ${own.uris.join(' ')}`,
      `Suites: ${suite}`,
      `Components: ${components}`,
      ...(own.signedBy === undefined ? [] : [`Signed-By: ${own.signedBy}`]),
      '',
    ].join('\n'),
  }));
}

function withoutComments(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
}

function listFiles(directory: string): string[] {
  try {
    return readdirSync(directory)
      .sort()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
