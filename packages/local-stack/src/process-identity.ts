import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * Names one process beyond doubt: process ids are reused, an id together with its start time is not.
 * `startedAt` is opaque (kernel ticks on Linux, a date elsewhere) and only compared for equality.
 */
export interface ProcessIdentity {
  pid: number;
  startedAt: string;
}

/** The start time of a living process, or null when there is none with that id. A zombie counts as gone. */
export function readStartTime(pid: number): string | null {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The second field is the command in brackets and may itself hold blanks and brackets.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
    } catch {
      return null;
    }
  }
  return readWithPs(pid, 'lstart');
}

/** The command line of a living process with its arguments joined by blanks, or null. */
export function readCommandLine(pid: number): string | null {
  if (process.platform === 'linux') {
    try {
      const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return text === '' ? null : text;
    } catch {
      return null;
    }
  }
  return readWithPs(pid, 'command');
}

/** The identity of a living process, or null. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const startedAt = readStartTime(pid);
  return startedAt === null ? null : { pid, startedAt };
}

/** True while exactly this process is alive; false as soon as its id is free or somebody else's. */
export function isSameProcessAlive(identity: ProcessIdentity): boolean {
  return readStartTime(identity.pid) === identity.startedAt;
}

/** Sends a signal and reports whether there was a process to receive it. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

function readWithPs(pid: number, column: string): string | null {
  try {
    const text = execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}
