import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { freezeProcess } from './freeze-process.ts';
import { identifyProcess, sendSignal, type ProcessIdentity } from './process-identity.mjs';
import { forgetProcess, guardProcess } from './reaper-client.ts';
import { StackError, errorCode, errorText } from './stack-error.ts';

export interface ManagedProcessOptions {
  /** Short name for messages, for instance `auth-service`. */
  name: string;
  command: string;
  args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  env: Record<string, string | undefined>;
  cwd: string;
  /** Output of the child, both streams, is appended here. */
  logPath: string;
  /** Other user and group to run as; only root may ask for it. */
  account?: { uid: number; gid: number } | undefined;
  /** What asks this child for an orderly end. */
  stopSignal?: NodeJS.Signals;
  /** How long the orderly end may take before SIGKILL. */
  stopTimeoutMs?: number;
  /** False for a process that is meant to outlive this one; everything else is given to the reaper. */
  guarded?: boolean;
}

export interface ExitStatus {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ManagedProcess {
  readonly name: string;
  readonly pid: number;
  readonly identity: ProcessIdentity;
  readonly logPath: string;
  /** Resolves when the process has ended, whoever ended it; never rejects. */
  readonly exited: Promise<ExitStatus>;
  readonly exitStatus: ExitStatus | null;
  /** The last lines this run of the process has written. */
  tail(lineCount?: number): string;
  /** Orderly end; SIGKILL when it takes too long. Resolves when the process is gone, also if it was before. */
  stop(): Promise<ExitStatus>;
  /** Sends a signal at once. Resolves when the process is gone; for SIGSTOP when it stands still, for others at once. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

// A service finishes requests in flight when it is asked to stop; this is the time it has for that.
const DEFAULT_STOP_TIMEOUT_MS = 10_000;

// Enough for a stack trace with its cause, not more than a screen.
const DEFAULT_TAIL_LINES = 30;
const TAIL_BYTES = 64 * 1024;

/**
 * Starts a child that leads its own process group (Ctrl-C in the terminal does not reach it, its parent
 * decides the order of the end), writes straight to its log file (a dying parent breaks no pipe of it) and
 * is ended by the reaper should this process die without doing so.
 *
 * @throws StackError when the command cannot be run at all.
 */
export async function startManagedProcess(options: ManagedProcessOptions): Promise<ManagedProcess> {
  const { name, command, args, account, logPath } = options;
  mkdirSync(dirname(logPath), { recursive: true });
  const log = openSync(logPath, 'a', 0o600);
  const logStart = statSync(logPath).size;
  const child = spawn(command, [...args], {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ['ignore', log, log],
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  });
  closeSync(log);
  let exitStatus: ExitStatus | null = null;
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once('exit', (code, signal) => {
      exitStatus = { code, signal };
      if (child.pid !== undefined) forgetProcess(child.pid);
      resolve(exitStatus);
    });
  });
  const { pid } = child;
  if (pid === undefined) throw await describeSpawnFailure(child, options);
  child.on('error', () => undefined); // a signal that finds nobody; `exited` tells the story
  const identity = identifyProcess(pid) ?? { pid, startedAt: '' };
  const stopSignal = options.stopSignal ?? 'SIGTERM';
  const stopTimeoutMs = options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS;
  if (options.guarded !== false) guardProcess(identity, { signal: stopSignal, graceMs: stopTimeoutMs });
  return {
    name,
    pid,
    identity,
    logPath,
    exited,
    get exitStatus() {
      return exitStatus;
    },
    tail: (lineCount = DEFAULT_TAIL_LINES) => readLastLines(logPath, lineCount, logStart),
    stop: () => stopChild(pid, exited, () => exitStatus, stopSignal, stopTimeoutMs),
    kill: async (signal = 'SIGKILL') => {
      if (exitStatus !== null) return;
      if (signal === 'SIGSTOP') {
        await freezeProcess(pid);
        return;
      }
      sendSignal(pid, signal);
      if (signal === 'SIGKILL') await exited;
    },
  };
}

/** The last lines of a file, of what lies behind `fromByte`; empty when there is no such file. */
export function readLastLines(path: string, lineCount: number, fromByte = 0): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const size = statSync(path).size;
    const start = Math.max(fromByte > size ? 0 : fromByte, size - TAIL_BYTES);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    const length = readSync(file, buffer, 0, buffer.length, start);
    return buffer.toString('utf8', 0, length).trimEnd().split('\n').slice(-lineCount).join('\n');
  } finally {
    closeSync(file);
  }
}

async function stopChild(
  pid: number,
  exited: Promise<ExitStatus>,
  exitStatus: () => ExitStatus | null,
  stopSignal: NodeJS.Signals,
  stopTimeoutMs: number,
): Promise<ExitStatus> {
  const status = exitStatus();
  if (status !== null) return status;
  sendSignal(pid, stopSignal);
  sendSignal(pid, 'SIGCONT'); // a frozen process would not hear the first one
  const timer = setTimeout(() => {
    if (!sendSignal(-pid, 'SIGKILL')) sendSignal(pid, 'SIGKILL');
  }, stopTimeoutMs);
  try {
    return await exited;
  } finally {
    clearTimeout(timer);
  }
}

async function describeSpawnFailure(
  child: ReturnType<typeof spawn>,
  options: ManagedProcessOptions,
): Promise<StackError> {
  const error = await new Promise<unknown>((resolve) => child.once('error', resolve));
  const cause = `${options.name} could not be started: ${errorText(error)}`;
  const isDenied = errorCode(error) === 'EACCES';
  const cure = isDenied
    ? `Make ${options.command} and the folders above it executable for this user.`
    : `Check that ${options.command} exists and runs on this machine.`;
  return new StackError(cause, cure, { cause: error });
}
