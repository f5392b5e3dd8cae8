import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { downloadNatsPackage } from './nats-package.ts';
import { compareVersions, findOnPath, NATS_MINIMUM_VERSION, readNatsVersion } from './nats-version.ts';
import { TOOLS_DIRECTORY } from './state-paths.mjs';
import { errorText, StackError } from './stack-error.ts';

export interface NatsBinary {
  path: string;
  version: string;
  source: 'NATS_SERVER_BIN' | 'PATH' | 'cache' | 'distribution package';
  /** Set when the binary is older than this project wants. */
  warning?: string;
}

export interface FindNatsBinaryOptions {
  /** The environment to look in for NATS_SERVER_BIN and PATH. */
  env?: Record<string, string | undefined>;
  cacheDirectory?: string;
  /** Called with a line to show before something that takes seconds. */
  onProgress?: (line: string) => void;
  /** Asks a download that is under way to give up. */
  abortSignal?: AbortSignal;
  /** Fetches the distribution's package into the directory; replaced in tests. */
  download?: typeof downloadNatsPackage;
}

/**
 * Finds a nats-server in this order: NATS_SERVER_BIN; the PATH, if new enough; the cache; on Debian and Ubuntu
 * the distribution's package, unpacked into the cache without root rights and without installing anything;
 * an older one on the PATH, with a warning.
 *
 * @throws StackError that says what to install when there is none of these.
 */
export async function findNatsBinary(options: FindNatsBinaryOptions = {}): Promise<NatsBinary> {
  const { env = process.env, cacheDirectory = join(TOOLS_DIRECTORY, 'nats-server'), download = downloadNatsPackage } = options;
  const chosen = env.NATS_SERVER_BIN;
  if (chosen !== undefined && chosen !== '') return useChosenBinary(chosen);

  const onPath = findOnPath('nats-server', env.PATH);
  const onPathVersion = onPath === null ? null : readNatsVersion(onPath);
  if (onPath !== null && onPathVersion !== null && isNewEnough(onPathVersion)) {
    return { path: onPath, version: onPathVersion, source: 'PATH' };
  }

  const cached = join(cacheDirectory, 'nats-server');
  const cachedVersion = existsSync(cached) ? readNatsVersion(cached) : null;
  if (cachedVersion !== null && isNewEnough(cachedVersion)) {
    return { path: cached, version: cachedVersion, source: 'cache' };
  }

  let reason: unknown;
  try {
    await download(cacheDirectory, options.onProgress ?? (() => undefined), options.abortSignal);
    const version = readNatsVersion(cached);
    if (version !== null) return { path: cached, version, source: 'distribution package' };
    reason = new Error('the unpacked binary does not run on this machine');
  } catch (error) {
    options.abortSignal?.throwIfAborted();
    reason = error;
  }
  if (onPath !== null && onPathVersion !== null) {
    const warning =
      `nats-server ${onPathVersion} (${onPath}) is older than ${NATS_MINIMUM_VERSION}: it works, but may lose ` +
      `acknowledged events in a power cut. A newer one could not be had: ${errorText(reason)}`;
    return { path: onPath, version: onPathVersion, source: 'PATH', warning };
  }
  throw new StackError(
    `There is no nats-server on this machine, and the distribution's package could not be had: ${errorText(reason)}`,
    `Install nats-server ${NATS_MINIMUM_VERSION} or newer: \`apt-get install nats-server\` (Debian 13, Ubuntu 25.04 or ` +
      'later), `brew install nats-server` (macOS), or unpack a release of github.com/nats-io/nats-server and set ' +
      'NATS_SERVER_BIN to the path of the binary.',
    { cause: reason },
  );
}

function isNewEnough(version: string): boolean {
  return compareVersions(version, NATS_MINIMUM_VERSION) >= 0;
}

function useChosenBinary(path: string): NatsBinary {
  const version = readNatsVersion(path);
  if (version === null) {
    throw new StackError(
      `NATS_SERVER_BIN names ${path}, which does not run as nats-server`,
      'Let it name the path of a nats-server binary for this machine, or unset it.',
    );
  }
  const isOld = !isNewEnough(version);
  return {
    path,
    version,
    source: 'NATS_SERVER_BIN',
    ...(isOld ? { warning: `nats-server ${version} is older than ${NATS_MINIMUM_VERSION}.` } : {}),
  };
}
