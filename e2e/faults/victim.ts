import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identifyProcess, isSameProcessAlive, waitFor, type ProcessIdentity } from '@infrasignal/local-stack';
import {
  BROKER_MEMORY_SLACK_BYTES,
  SERVICE_MEMORY_SLACK_BYTES,
  toDescriptorsMax,
  type ProcessCost,
  type ProcessHistory,
} from './checks/check-recovery.ts';

/** A service or a broker, as far as it can be killed and stopped. */
export interface Killable {
  readonly pid: number;
  kill(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
}

/** A quarter of a second without a change. */
const SETTLED_SAMPLES = 5;
const SAMPLE_INTERVAL_MS = 50;
const SETTLE_TIMEOUT_MS = 5_000;

/** A process of the system under test: killed, stopped and started by the scenario, and by nobody else. */
export class Victim {
  readonly name: string;
  readonly #process: Killable;
  readonly #probeDirectory: string | null;
  readonly #unexpectedEnds: string[] = [];
  #identity: ProcessIdentity | null;
  readonly #faults: Record<string, number> = {};
  #before: ProcessCost | null = null;
  /** False between a kill and the next start. */
  isUp = true;
  /** True between {@link pause} and {@link resume}: it is there, and does nothing at all. */
  isPaused = false;

  /** @param probeDirectory where process-probe.mjs, if it is loaded, writes its answers; null: it is not loaded */
  constructor(name: string, process: Killable, probeDirectory: string | null) {
    this.name = name;
    this.#process = process;
    this.#probeDirectory = probeDirectory;
    this.#identity = identifyProcess(process.pid);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** @param fault what it is called in the report, where it is more than a kill */
  async kill(fault = 'killed'): Promise<void> {
    this.#noteUnexpectedEnd();
    this.isUp = false;
    this.isPaused = false;
    this.#count(fault);
    await this.#process.kill('SIGKILL');
  }

  /** Freezes it (SIGSTOP), and returns when it stands still: its connections stay open, and nothing answers on them. */
  async pause(): Promise<void> {
    this.#noteUnexpectedEnd();
    this.isPaused = true;
    this.#count('paused');
    await this.#process.kill('SIGSTOP');
  }

  /** Lets it go on (SIGCONT) where it stood, believing that no time has passed. Nothing happens if it was not paused. */
  async resume(): Promise<void> {
    if (!this.isPaused) return;
    this.isPaused = false;
    await this.#process.kill('SIGCONT');
  }

  /** Ended in order and started again as something else, for instance as another release. */
  async replace(restart: () => Promise<void>): Promise<void> {
    this.#noteUnexpectedEnd();
    this.#count('replaced');
    this.isUp = false;
    await restart();
    this.#identity = identifyProcess(this.#process.pid);
    this.isUp = true;
  }

  /** Starts it again and waits until it is ready. */
  async start(): Promise<void> {
    this.isPaused = false;
    await this.#process.restart();
    this.#identity = identifyProcess(this.#process.pid);
    this.isUp = true;
  }

  /** What the rest is compared with. */
  async measureBefore(): Promise<void> {
    this.#before = await this.#measure();
  }

  /**
   * Of several instances of a service as one. More descriptors than are allowed are a leak only if they stay: a busy
   * process is slow to close what its clients have left, and meanwhile their number may well stand still.
   * @param keptBytes what each keeps in memory on purpose, as the run goes on
   */
  static async readHistory(name: string, victims: readonly Victim[], keptBytes = 0): Promise<ProcessHistory> {
    const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
    const allowed = toDescriptorsMax(sum(victims.map((victim) => victim.#before?.descriptors ?? 0)));
    const isAllowed = (): boolean => sum(victims.map(({ pid }) => readDescriptors(pid))) <= allowed;
    await waitFor(isAllowed, { intervalMs: SAMPLE_INTERVAL_MS, timeoutMs: SETTLE_TIMEOUT_MS }).catch(() => undefined);
    return sumHistories(name, await Promise.all(victims.map((victim) => victim.#toHistory(keptBytes))));
  }

  async #toHistory(keptBytes: number): Promise<ProcessHistory> {
    this.#noteUnexpectedEnd();
    const before = this.#before ?? { descriptors: 0, memoryBytes: 0 };
    const after = this.#unexpectedEnds.length > 0 ? before : await this.#measure(before.descriptors);
    const slackBytes = this.#probeDirectory === null ? BROKER_MEMORY_SLACK_BYTES : SERVICE_MEMORY_SLACK_BYTES;
    return {
      name: this.name,
      faults: { ...this.#faults },
      unexpectedEnds: this.#unexpectedEnds,
      memorySlackBytes: slackBytes + keptBytes,
      before,
      after,
    };
  }

  #count(fault: string): void {
    this.#faults[fault] = (this.#faults[fault] ?? 0) + 1;
  }

  /** Nobody but the scenario ends or starts it: a process that is gone, or is another one, ended by itself. */
  #noteUnexpectedEnd(): void {
    if (!this.isUp) return;
    if (this.#identity !== null && isSameProcessAlive(this.#identity)) return;
    this.#unexpectedEnds.push(`process ${this.#identity?.pid ?? 0} is gone after ${this.#faults.killed ?? 0} kills`);
  }

  /** @param enough so many descriptors are what was hoped for: fewer need not be waited for */
  async #measure(enough = 0): Promise<ProcessCost> {
    const { pid } = this.#process;
    const descriptors = await countDescriptors(pid, enough);
    if (this.#probeDirectory === null) return { descriptors, memoryBytes: readResidentBytes(pid) };
    const path = join(this.#probeDirectory, String(pid));
    rmSync(path, { force: true });
    await this.#process.kill('SIGUSR2');
    const memoryBytes = await waitFor(() => Number(readFileSync(path, 'utf8')), {
      description: `${this.name} to say how much memory it uses`,
    });
    return { descriptors, memoryBytes };
  }
}

/** Connections that were just closed go when the process gets to it: the count once it does not change any more. */
async function countDescriptors(pid: number, enough: number): Promise<number> {
  const counts: number[] = [];
  const isSettled = (): boolean => {
    const count = readDescriptors(pid);
    counts.push(count);
    if (count <= enough) return true;
    const last = counts.slice(-SETTLED_SAMPLES);
    return last.length === SETTLED_SAMPLES && new Set(last).size === 1;
  };
  await waitFor(isSettled, { intervalMs: SAMPLE_INTERVAL_MS, timeoutMs: SETTLE_TIMEOUT_MS }).catch(() => undefined);
  return counts.at(-1) ?? 0;
}

/** None of a process that is gone. */
function readDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** Several instances of a service as one: their clients move from one to another, and with them what they cost. */
function sumHistories(name: string, histories: readonly ProcessHistory[]): ProcessHistory {
  const sum = (costs: readonly ProcessCost[]): ProcessCost => ({
    descriptors: costs.reduce((total, { descriptors }) => total + descriptors, 0),
    memoryBytes: costs.reduce((total, { memoryBytes }) => total + memoryBytes, 0),
  });
  return {
    name,
    before: sum(histories.map(({ before }) => before)),
    after: sum(histories.map(({ after }) => after)),
    faults: sumFaults(histories.map(({ faults }) => faults)),
    memorySlackBytes: histories.reduce((total, { memorySlackBytes }) => total + memorySlackBytes, 0),
    unexpectedEnds: histories.flatMap((history) => history.unexpectedEnds.map((end) => `${history.name}: ${end}`)),
  };
}

/** For instance `{ killed: 3 }` and `{ killed: 1, paused: 1 }` are `{ killed: 4, paused: 1 }`. */
function sumFaults(all: readonly ProcessHistory['faults'][]): ProcessHistory['faults'] {
  const sums: Record<string, number> = {};
  for (const [name, count] of all.flatMap(Object.entries<number>)) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

function readResidentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** The most that a process ever used, in MiB. */
export function readPeakMib(pid: number): number {
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024);
}
