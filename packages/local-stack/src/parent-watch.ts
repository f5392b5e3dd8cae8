import {
  identifyProcess,
  isSameProcessAlive,
  readCommandLine,
  readParentPid,
  type ProcessIdentity,
} from './process-identity.mjs';

// How long a stack may run on without anybody who could end it.
const CHECK_INTERVAL_MS = 500;

// npm, the shell it starts scripts with, this process: nothing else comes between them.
const GENERATIONS_MAX = 3;

/**
 * Calls once when npm, or the shell between npm and this process, has gone without passing a signal on (SIGKILL).
 * Started by hand, without npm, nobody is watched: the process may well outlive the shell it came from.
 */
export function watchNpm(isUnderNpm: boolean, onGone: () => void): () => void {
  const ancestors = isUnderNpm ? findAncestorsUpToNpm() : [];
  if (ancestors.length === 0) return () => undefined;
  const timer = setInterval(() => {
    if (ancestors.every((ancestor) => isSameProcessAlive(ancestor))) return;
    clearInterval(timer);
    onGone();
  }, CHECK_INTERVAL_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

function findAncestorsUpToNpm(): ProcessIdentity[] {
  const ancestors: ProcessIdentity[] = [];
  let pid: number | null = process.ppid;
  for (let generation = 0; generation < GENERATIONS_MAX && pid !== null && pid > 1; generation += 1) {
    const identity = identifyProcess(pid);
    if (identity === null) return [];
    ancestors.push(identity);
    if (/(^|\/)npm( |$)|npm-cli\.js/.test(readCommandLine(pid) ?? '')) return ancestors;
    pid = readParentPid(pid);
  }
  return [];
}
