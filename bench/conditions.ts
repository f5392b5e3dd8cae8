import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { findNatsBinary, PROJECT_ROOT } from '@infrasignal/local-stack';

export type Conditions = Record<string, string | number>;

/** What the machine is and does, before the run begins. */
export async function readMachineConditions(): Promise<Conditions> {
  const [first] = cpus();
  return {
    date: new Date().toISOString(),
    commit: readCommit(),
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gb: Number((totalmem() / 2 ** 30).toFixed(1)),
    kernel: release(),
    node: process.versions.node,
    nats_server: (await findNatsBinary()).version,
    load_average_before: readLoadAverage(),
  };
}

/** Processes that ran or waited for a core, averaged over the last minute. Above 0 before a run, others are at work. */
export function readLoadAverage(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

function readCommit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: PROJECT_ROOT, encoding: 'utf8' }).trim();
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`;
  } catch {
    return 'unknown'; // not a clone, or no git
  }
}
