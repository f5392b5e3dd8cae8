import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { PROJECT_ROOT } from '@infrasignal/local-stack';

/** What the machine is and does, before the run begins. */
export function readMachineConditions(): Record<string, string | number> {
  const [first] = cpus();
  return {
    date: new Date().toISOString(),
    commit: readCommit(),
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gb: Number((totalmem() / 2 ** 30).toFixed(1)),
    kernel: release(),
    node: process.versions.node,
    load_average_before: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
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
