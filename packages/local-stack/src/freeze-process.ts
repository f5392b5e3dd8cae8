import { readdirSync, readFileSync } from 'node:fs';
import { readStartTime, sendSignal } from './process-identity.mjs';
import { waitFor } from './wait-for.ts';

/** A thread stands still once it has been on a core, which on a busy machine takes its time. */
const FREEZE_TIMEOUT_MS = 10_000;

/**
 * Freezes one process (SIGSTOP) and resolves when it stands still, or is gone. The signal alone does not say so: the
 * threads of a process run on until one of them handles it, and meanwhile answer what they are asked. Linux only.
 *
 * @returns false if there was no such process
 * @throws Error when it still runs after 10 s
 */
export async function freezeProcess(pid: number): Promise<boolean> {
  if (!sendSignal(pid, 'SIGSTOP')) return false;
  await waitFor(() => readStartTime(pid) === null || readThreadStates(pid).every((state) => state === 'T'), {
    intervalMs: 1,
    timeoutMs: FREEZE_TIMEOUT_MS,
    description: `process ${pid} to stand still`,
  });
  return true;
}

/** One letter for each thread (proc_pid_stat(5), third field); throws when one ends meanwhile. */
function readThreadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2);
  });
}
