// Names processes beyond doubt. Plain JavaScript, because the reaper and `npm run reset` use it without a compiler;
// process-identity.d.mts describes it to TypeScript.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export function readStartTime(pid) {
  if (process.platform !== 'linux') return readWithPs(pid, 'lstart');
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in brackets and may itself hold blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

export function readCommandLine(pid) {
  if (process.platform !== 'linux') return readWithPs(pid, 'command');
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}

export function readParentPid(pid) {
  if (process.platform !== 'linux') return Number(readWithPs(pid, 'ppid')) || null;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) || null;
  } catch {
    return null;
  }
}

export function identifyProcess(pid) {
  const startedAt = readStartTime(pid);
  return startedAt === null ? null : { pid, startedAt };
}

export function isSameProcessAlive(identity) {
  const startedAt = readStartTime(identity.pid);
  return startedAt !== null && startedAt === identity.startedAt;
}

export function sendSignal(pid, signal) {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

function readWithPs(pid, column) {
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
