/** CPU time and memory of other processes, as Linux accounts for them. NaN where there is no /proc. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, the unit of /proc/<pid>/stat: 100 a second on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Figures of /proc/<pid>/stat that follow the name, counted from the state (proc_pid_stat(5), field 3). */
const PARENT_PID = 1;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const REAPED_USER_TICKS = 13;
const REAPED_SYSTEM_TICKS = 14;

/** The name is in parentheses and may contain any character, so that the last one ends it. */
function readStat(pid: number | string): number[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
  } catch {
    return null; // it has ended, or this is no Linux
  }
}

function sumTicks(stat: readonly number[] | null, ...fields: readonly number[]): number {
  return fields.reduce((sum, field) => sum + (stat?.[field] ?? NaN), 0) / TICKS_PER_SECOND;
}

/** The process that started this one, or null. */
export function findParentPid(pid: number): number | null {
  return readStat(pid)?.[PARENT_PID] ?? null;
}

function listChildren(pid: number): number[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.filter((entry) => readStat(entry)?.[PARENT_PID] === pid).map(Number);
}

/** CPU seconds that a process has used, all threads, in user and kernel mode. */
export function readCpuSeconds(pid: number): number {
  return sumTicks(readStat(pid), USER_TICKS, SYSTEM_TICKS);
}

/** The same for a server that forks workers (PostgreSQL): with its children, those that have ended included. */
export function readFamilyCpuSeconds(pid: number): number {
  const stat = readStat(pid);
  if (stat === null) return NaN;
  const own = sumTicks(stat, USER_TICKS, SYSTEM_TICKS, REAPED_USER_TICKS, REAPED_SYSTEM_TICKS);
  // One that ends between the two readings is counted neither here nor as reaped: it was idle, or it would not end.
  const live = listChildren(pid).map(readCpuSeconds);
  return live.filter(Number.isFinite).reduce((sum, seconds) => sum + seconds, own);
}

/** Memory of a process in MiB; what it shares with others counts in part (PSS), so that a family adds up. */
export function readMemoryMib(pid: number): number {
  return readPssKib(pid) / 1024;
}

/** The same with its children. */
export function readFamilyMemoryMib(pid: number): number {
  const children = listChildren(pid).map(readPssKib).filter(Number.isFinite);
  return children.reduce((sum, kib) => sum + kib / 1024, readMemoryMib(pid));
}

function readPssKib(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]);
  } catch {
    return NaN;
  }
}

/** What of a process is in memory (VmRSS), in KiB: shared pages counted in full, as `ps` and orchestrators tell it. */
export function readResidentKib(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
  } catch {
    return NaN;
  }
}

/** CPU seconds that the whole machine has spent on anything but waiting. */
export function readMachineCpuSeconds(): number {
  try {
    const [first = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
    const [user, nice, system, , , irq, softIrq, steal] = first.split(/\s+/).slice(1).map(Number);
    const ticks = [user, nice, system, irq, softIrq, steal].reduce<number>((sum, each) => sum + (each ?? NaN), 0);
    return ticks / TICKS_PER_SECOND;
  } catch {
    return NaN;
  }
}
