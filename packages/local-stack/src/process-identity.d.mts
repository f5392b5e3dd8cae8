/**
 * Names one process beyond doubt: process ids are reused, an id together with its start time is not.
 * `startedAt` is opaque (kernel ticks on Linux, a date elsewhere) and only compared for equality.
 */
export interface ProcessIdentity {
  pid: number;
  startedAt: string;
}

/** The start time of a living process, or null when there is none with that id. A zombie counts as gone. */
export function readStartTime(pid: number): string | null;

/** The command line of a living process with its arguments joined by blanks, or null. */
export function readCommandLine(pid: number): string | null;

/** The parent of a living process, or null. */
export function readParentPid(pid: number): number | null;

/** The identity of a living process, or null. */
export function identifyProcess(pid: number): ProcessIdentity | null;

/** True while exactly this process is alive; false as soon as its id is free or somebody else's. */
export function isSameProcessAlive(identity: ProcessIdentity): boolean;

/** Sends a signal (to a group when the id is negative) and reports whether there was anybody to receive it. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean;
