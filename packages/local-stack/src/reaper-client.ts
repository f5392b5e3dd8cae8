import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProcessIdentity } from './process-identity.mjs';

/** How the reaper shall end a process when this process is no longer there to do it. */
export interface ReapRule {
  signal: NodeJS.Signals;
  /** Time between the signal and SIGKILL. */
  graceMs: number;
}

let reaper: ChildProcess | undefined;
const guardedProcesses = new Map<number, ProcessIdentity & ReapRule>();
const guardedMounts = new Set<string>();
const guardedPaths = new Set<string>();

/** From now on this process will be ended even if the present process is killed with SIGKILL. */
export function guardProcess(identity: ProcessIdentity, rule: ReapRule): void {
  const entry = { ...identity, ...rule };
  guardedProcesses.set(identity.pid, entry);
  tell({ add: entry });
}

/** The process has ended; its id may be given to a stranger from now on. */
export function forgetProcess(pid: number): void {
  if (guardedProcesses.delete(pid)) tell({ remove: pid });
}

/** What is mounted there will be unmounted if this process dies before it does so itself. */
export function guardMount(mountPoint: string): void {
  guardedMounts.add(mountPoint);
  tell({ mount: mountPoint });
}

/** Nothing is mounted there any more. */
export function forgetMount(mountPoint: string): void {
  if (guardedMounts.delete(mountPoint)) tell({ unmounted: mountPoint });
}

/** The path will be removed if this process dies before it does so itself. */
export function guardPath(path: string): void {
  guardedPaths.add(path);
  tell({ path });
}

/** The path has been removed, or is to stay. */
export function forgetPath(path: string): void {
  if (guardedPaths.delete(path)) tell({ keepPath: path });
}

function tell(message: object): void {
  const isRunning = reaper?.exitCode === null && reaper.signalCode === null;
  if (reaper === undefined || !isRunning) {
    reaper = startReaper(); // is told everything, this message included
  } else {
    writeLine(reaper, message);
  }
}

/**
 * One reaper per process, started when the first thing needs guarding. It leads its own session, so that
 * neither Ctrl-C nor a closed terminal ends it together with what it watches, and it keeps nothing alive.
 */
function startReaper(): ChildProcess {
  const script = fileURLToPath(new URL('reaper.mjs', import.meta.url));
  const child = spawn(process.execPath, [script], {
    cwd: '/',
    detached: true,
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // A reaper that was killed is replaced at the next call; a broken pipe to it is not an error here.
  child.on('error', () => undefined);
  child.stdin?.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  for (const entry of guardedProcesses.values()) writeLine(child, { add: entry });
  for (const mount of guardedMounts) writeLine(child, { mount });
  for (const path of guardedPaths) writeLine(child, { path });
  return child;
}

function writeLine(child: ChildProcess, message: object): void {
  child.stdin?.write(`${JSON.stringify(message)}\n`);
}
