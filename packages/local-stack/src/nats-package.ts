import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deriveSources, readAptSources, readOsRelease } from './apt-sources.ts';
import { compareVersions, findOnPath, NATS_MINIMUM_VERSION } from './nats-version.ts';
import { errorText } from './stack-error.ts';

const run = promisify(execFile);

// A package index is about 10 MB; a line that needs longer than this for it is no help to a newcomer.
const UPDATE_TIMEOUT_MS = 120_000;
const DOWNLOAD_TIMEOUT_MS = 120_000;

/**
 * Gets the distribution's own nats-server package with apt's own tools and puts its binary into `directory`.
 * apt checks the archive's signatures and hashes as always, but works on private state, cache and source
 * directories: no root rights are needed, nothing is installed, the machine's apt is not touched. The sources
 * are the machine's own, asked for this suite first and newer suites after it, until one has a new enough package.
 *
 * @throws Error with a sentence that says why there is none.
 */
export async function downloadNatsPackage(
  directory: string,
  onProgress: (line: string) => void,
  abortSignal?: AbortSignal,
): Promise<void> {
  for (const tool of ['apt-get', 'apt-cache', 'dpkg-deb']) {
    if (findOnPath(tool) === null) throw new Error(`${tool} is not on this machine (not Debian or Ubuntu?)`);
  }
  const candidates = deriveSources(readAptSources(), readOsRelease());
  if (candidates.length === 0) throw new Error("this machine's apt has no Debian or Ubuntu source to derive from");
  mkdirSync(directory, { recursive: true });
  const problems: string[] = [];
  for (const candidate of candidates) {
    abortSignal?.throwIfAborted();
    const workspace = join(directory, `apt-${process.pid}`);
    try {
      onProgress(`looking for nats-server in ${candidate.suite}`);
      const version = await findPackageVersion(workspace, candidate.source);
      if (version === null || compareVersions(version.upstream, NATS_MINIMUM_VERSION) < 0) {
        problems.push(`${candidate.suite} has ${version?.upstream ?? 'none'}`);
        continue;
      }
      onProgress(`unpacking nats-server ${version.upstream} from ${candidate.suite}`);
      await unpackPackage(workspace, version.full, directory);
      return;
    } catch (error) {
      problems.push(`${candidate.suite}: ${shortReason(error)}`);
    } finally {
      rmSync(workspace, { recursive: true, force: true });
    }
  }
  throw new Error(problems.join('; '));
}

async function findPackageVersion(
  workspace: string,
  source: string,
): Promise<{ full: string; upstream: string } | null> {
  for (const folder of ['state/lists/partial', 'cache/archives/partial', 'sources', 'unpacked']) {
    mkdirSync(join(workspace, folder), { recursive: true });
  }
  writeFileSync(join(workspace, 'sources/infrasignal.sources'), source);
  await run('apt-get', [...aptOptions(workspace), '--quiet', 'update'], { cwd: workspace, timeout: UPDATE_TIMEOUT_MS });
  const { stdout } = await run('apt-cache', [...aptOptions(workspace), 'policy', 'nats-server'], { cwd: workspace });
  const full = /Candidate: (\S+)/.exec(stdout)?.[1];
  if (full === undefined || full === '(none)') return null;
  return { full, upstream: /(\d+\.\d+\.\d+)/.exec(full)?.[1] ?? '0' };
}

async function unpackPackage(workspace: string, version: string, directory: string): Promise<void> {
  const options = { cwd: workspace, timeout: DOWNLOAD_TIMEOUT_MS };
  await run('apt-get', [...aptOptions(workspace), '--quiet', 'download', `nats-server=${version}`], options);
  const archive = readdirSync(workspace).find((name) => name.endsWith('.deb'));
  if (archive === undefined) throw new Error('apt-get download left no package');
  await run('dpkg-deb', ['-x', archive, 'unpacked'], { cwd: workspace });
  const unpacked = join(workspace, 'unpacked/usr');
  const binary = ['sbin', 'bin'].map((folder) => join(unpacked, folder, 'nats-server')).find((path) => existsSync(path));
  if (binary === undefined) throw new Error('the package holds no nats-server');
  const draft = join(directory, `nats-server.${process.pid}`);
  copyFileSync(binary, draft);
  chmodSync(draft, 0o755);
  renameSync(draft, join(directory, 'nats-server'));
}

/** Everything of apt's that would touch or need the machine's own directories is turned to private ones. */
function aptOptions(workspace: string): string[] {
  const options: Record<string, string> = {
    'Dir::State': join(workspace, 'state'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(workspace, 'cache'),
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': join(workspace, 'sources'),
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    // As root apt would download as the user _apt, who cannot enter a clone below a private directory.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
    // An update whose index could not be fetched is a failure, not a warning.
    'APT::Update::Error-Mode': 'any',
  };
  return Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

function shortReason(error: unknown): string {
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  const line = stderr.split('\n').find((text) => text.startsWith('E: ')) ?? errorText(error).split('\n')[0];
  return (line ?? 'unknown').replace(/^E: /, '');
}
